import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue counts`
struct QueueCountsCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "counts", abstract: "Count what waits.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func command() throws(AdminFailure) -> any AdminCommand {
    CountQueue(isJSON: format.json)
  }
}
