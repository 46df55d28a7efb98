import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue retry`
struct QueueRetry: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Try selected recipients now.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  @Flag(name: .long, help: "Everything in the queue.")
  var all = false

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .retry, words: selection.words, meansAll: all)
  }
}
