import ArgumentParser
import Configuration
import MartletServer

/// `martlet alias remove`
struct AliasRemove: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Remove an alias.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The alias, like sales@example.org; @example.org for all unknown names.")
  var address: String

  func command() throws(AdminFailure) -> any AdminCommand {
    RemoveAlias(address: address)
  }
}
