import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue remove`
struct QueueRemove: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Remove selected recipients, without telling their senders.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  @Flag(name: .long, help: "Everything in the queue.")
  var all = false

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .remove, words: selection.words, meansAll: all)
  }
}
