import ArgumentParser

/// `martlet mailbox`
struct MailboxGroup: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mailbox", abstract: "Look into mailboxes.", subcommands: [MailboxList.self, MailboxShow.self])
}
