import ArgumentParser
import Configuration
import MartletServer

/// `martlet store verify`
struct StoreVerify: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check everything that is stored.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func command() throws(AdminFailure) -> any AdminCommand {
    VerifyStore(isJSON: format.json)
  }
}
