import ArgumentParser
import Configuration
import MartletServer

/// `martlet trace`
struct TraceCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "trace", abstract: "Tell where a message went, and why.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Argument(help: "The queue id, as in the reply to DATA, in Received and in the log; or an address, or a Message-ID.")
  var subject: String

  @Option(
    name: .long,
    help: "Only messages that came since then: 30m, 2h, 3d, 1w ago, or a date: 2026-11-28, 2026-11-28T14:30, with Z in UTC.")
  var since: String?

  @Option(
    name: .long,
    help: "Only messages that came before then, a time as for --since, or before the message of a queue id: so one pages back.")
  var until: String?

  @Option(name: .long, help: "Messages that an address or a Message-ID may show, the newest first.")
  var limit = ShowTrace.messages

  func validate() throws {
    guard limit > 0 else { throw ValidationError("--limit: expected a number above 0") }
  }

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowTrace(subject: subject, isJSON: format.json, since: since, until: until, limit: limit)
  }
}
