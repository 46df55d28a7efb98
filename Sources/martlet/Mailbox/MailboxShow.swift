import ArgumentParser
import Configuration
import MartletServer

/// `martlet mailbox show`
struct MailboxShow: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "List a mailbox, or print one message as it is.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Argument(help: "The account's address.")
  var account: String

  @Argument(help: "The mailbox, like INBOX or Archive/2026.")
  var mailbox: String

  @Argument(help: "The message's UID.")
  var uid: UInt32?

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowMailbox(account: account, mailbox: mailbox, uid: uid, isJSON: format.json)
  }
}
