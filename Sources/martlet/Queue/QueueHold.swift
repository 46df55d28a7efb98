import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue hold`
struct QueueHold: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "hold", abstract: "Don't try selected recipients until they are released.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  @Flag(name: .long, help: "Everything in the queue.")
  var all = false

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .hold, words: selection.words, meansAll: all)
  }
}
