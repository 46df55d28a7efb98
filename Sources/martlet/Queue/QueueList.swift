import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue list`
struct QueueList: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List what waits; everything without a selection.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @OptionGroup var selection: QueueOptions

  func command() throws(AdminFailure) -> any AdminCommand {
    ListQueue(words: selection.words, isJSON: format.json)
  }
}
