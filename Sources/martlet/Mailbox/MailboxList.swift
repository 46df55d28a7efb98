import ArgumentParser
import Configuration
import MartletServer

/// `martlet mailbox list`
struct MailboxList: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the mailboxes of an account.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Argument(help: "The account's address.")
  var account: String

  func command() throws(AdminFailure) -> any AdminCommand {
    ListMailboxes(account: account, isJSON: format.json)
  }
}
