import ArgumentParser
import Configuration
import MartletServer

/// `martlet explain`
struct ExplainCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Tell what would happen to a message, and why, without delivering one.",
    discussion: """
      Goes through the server's own decisions: checks, aliases, verdict, route with its DNS answers. With --config it is this file that \
      decides, else the configuration that the server runs by.
      """)

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Option(name: .customLong("from"), help: "The envelope's sender; <> or empty for the null path.")
  var sender: String

  @Option(name: .customLong("to"), help: "A recipient; may be given several times.")
  var recipients: [String]

  @Option(name: .customLong("ip"), help: "The client's address. Default: a stranger's, 192.0.2.1.")
  var client: String?

  @Option(name: .long, help: "What the client calls itself.")
  var helo: String?

  @Option(name: .long, help: "A file with the message, - for standard input.")
  var message: String?

  func validate() throws {
    guard recipients.count <= 1_000 else { throw ValidationError("at most 1,000 recipients") }
  }

  func command() throws(AdminFailure) -> any AdminCommand {
    Explain(sender: sender, recipients: recipients, client: client, helo: helo, isJSON: format.json)
  }

  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] {
    try DryRunInput(configuration: configuration.config == nil ? nil : file, message: message).encoded()
  }

  var storeUse: StoreUse { .reading }
}
