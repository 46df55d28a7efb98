import ArgumentParser
import Configuration
import MartletServer

/// `martlet account quota`
struct AccountQuota: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "quota", abstract: "Change what an account may hold.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  @Argument(help: "A size like 2GB; 0 is unlimited.")
  var quota: ByteCount

  func command() throws(AdminFailure) -> any AdminCommand {
    SetAccountQuota(address: address, quota: quota)
  }
}
