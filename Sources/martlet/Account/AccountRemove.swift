import ArgumentParser
import Configuration
import MartletServer

/// `martlet account remove`
struct AccountRemove: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Remove an account.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  @Flag(name: .long, help: "Also if it holds mail, which goes with it.")
  var yes = false

  func command() throws(AdminFailure) -> any AdminCommand {
    RemoveAccount(address: address, withMail: yes)
  }
}
