import ArgumentParser
import Configuration
import MartletServer

/// `martlet account password`
struct AccountPassword: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "password", abstract: "Change the password of an account.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var address: String

  @Flag(name: .long, help: "Take the password from the first line of standard input, as happens anyway where there is no terminal.")
  var passwordStdin = false

  func command() throws(AdminFailure) -> any AdminCommand {
    SetPassword(address: address)
  }

  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] { try PasswordReader.hash() }
}
