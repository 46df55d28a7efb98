import ArgumentParser
import Configuration
import MartletServer

/// `martlet domain list`
struct DomainList: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List domains.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func command() throws(AdminFailure) -> any AdminCommand {
    ListDomains(isJSON: format.json)
  }
}
