import ArgumentParser
import Configuration
import MartletServer

/// `martlet domain remove`
struct DomainRemove: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Remove a domain that has no accounts and aliases.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The domain's name.")
  var name: String

  func command() throws(AdminFailure) -> any AdminCommand {
    RemoveDomain(name: name)
  }
}
