import ArgumentParser
import Configuration
import MartletServer

/// `martlet export maildir`
struct ExportMaildirCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "maildir", abstract: "Write an account's mail to a Maildir.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var account: String

  @Argument(help: "The folder, new or empty.")
  var folder: String

  @Option(name: .long, help: "One mailbox only.")
  var mailbox: String?

  @Option(name: .long, help: "maildir++ (.Archive.2026) or nested (Archive/2026).")
  var layout = ExportMaildir.Layout.maildirPlusPlus

  func command() throws(AdminFailure) -> any AdminCommand {
    ExportMaildir(account: account, layout: layout, mailbox: mailbox)
  }

  func files() throws(AdminFailure) -> FileSink? { FileSink(root: folder) }
}
