import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue release`
struct QueueRelease: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "release", abstract: "Release held recipients.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  @Flag(name: .long, help: "Everything in the queue.")
  var all = false

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .release, words: selection.words, meansAll: all)
  }
}
