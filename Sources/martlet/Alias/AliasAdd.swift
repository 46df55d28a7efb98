import ArgumentParser
import Configuration
import MartletServer

/// `martlet alias add`
struct AliasAdd: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add an alias.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The alias, like sales@example.org; @example.org for all unknown names.")
  var address: String

  @Argument(help: "Where it leads: addresses with commas between.")
  var targets: [String]

  @Flag(name: .long, help: "In place of one that is there.")
  var replace = false

  var storeUse: StoreUse { .making }

  func command() throws(AdminFailure) -> any AdminCommand {
    AddAlias(address: address, targets: targets, replaces: replace)
  }
}
