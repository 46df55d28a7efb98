import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue flush`
struct QueueFlush: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "flush", abstract: "Try everything that waits now.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .retry, words: selection.words, meansAll: true)
  }
}
