import ArgumentParser
import Configuration
import MartletServer

/// `martlet account list`
struct AccountList: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List accounts.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Option(name: .long, help: "Of this domain only.")
  var domain: String?

  func command() throws(AdminFailure) -> any AdminCommand {
    ListAccounts(domain: domain, isJSON: format.json)
  }
}
