import ArgumentParser
import Configuration
import MartletServer

/// `martlet export mbox`
struct ExportMboxCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "mbox", abstract: "Write an account's mail to one file.")

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "The account's address.")
  var account: String

  @Argument(help: "The file, which must not exist; - for standard output.")
  var file: String

  @Option(name: .long, help: "One mailbox only.")
  var mailbox: String?

  func command() throws(AdminFailure) -> any AdminCommand {
    ExportMbox(account: account, mailbox: mailbox, toOutput: file == "-")
  }

  func files() throws(AdminFailure) -> FileSink? { file == "-" ? nil : FileSink(root: file, isSingleFile: true) }
}
