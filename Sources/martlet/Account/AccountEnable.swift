import ArgumentParser
import Configuration
import MartletServer

/// `martlet account enable`
struct AccountEnable: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "enable", abstract: "Let an account take mail again.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  func command() throws(AdminFailure) -> any AdminCommand {
    SetAccountEnabled(address: address, isEnabled: true)
  }
}
