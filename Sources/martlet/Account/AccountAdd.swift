import ArgumentParser
import Configuration
import MartletServer

/// `martlet account add`
struct AccountAdd: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Add an account.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  @Flag(name: .long, help: "Take the password from the first line of standard input.")
  var passwordStdin = false

  @Option(name: .long, help: "What it may hold, like 2GB; 0 is unlimited.")
  var quota = ByteCount(octets: 0)

  var storeUse: StoreUse { .making }

  func command() throws(AdminFailure) -> any AdminCommand {
    AddAccount(address: address, quota: quota, hasPassword: passwordStdin)
  }

  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] { passwordStdin ? try PasswordReader.hash() : [] }
}
