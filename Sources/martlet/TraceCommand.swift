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

  func command() throws(AdminFailure) -> any AdminCommand {
    ShowTrace(subject: subject, isJSON: format.json)
  }
}
