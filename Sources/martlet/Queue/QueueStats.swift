import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue stats`
struct QueueStats: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "What waits by destination, and how fast it leaves.",
    discussion: "Sorted by what is queued. Connections, rate and circuit are known while the server runs.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Flag(name: .long, help: "Show it anew each second, until interrupted.")
  var watch = false

  @Option(name: .long, help: "Destinations shown, 1 to 10,000; without it 20, and with --json up to 10,000.")
  var top: Int?

  func validate() throws {
    if let top, !(1...ShowQueueStats.mostShown).contains(top) { throw ValidationError("--top is a number from 1 to 10000") }
  }

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowQueueStats(top: top ?? (format.json && !watch ? ShowQueueStats.mostShown : 20), watches: watch, isJSON: format.json)
  }
}
