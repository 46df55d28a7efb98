import ArgumentParser
import Configuration
import MartletServer

/// `martlet account disable`
struct AccountDisable: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "disable", abstract: "Let an account take no mail; what it holds stays.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  func command() throws(AdminFailure) -> any AdminCommand {
    SetAccountEnabled(address: address, isEnabled: false)
  }
}
