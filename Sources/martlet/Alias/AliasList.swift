import ArgumentParser
import Configuration
import MartletServer

/// `martlet alias list`
struct AliasList: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List aliases.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Option(name: .long, help: "Of this domain only.")
  var domain: String?

  func command() throws(AdminFailure) -> any AdminCommand {
    ListAliases(domain: domain, isJSON: format.json)
  }
}
