import ArgumentParser
import Configuration
import MartletServer

/// `martlet queue reroute`
struct QueueReroute: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "reroute", abstract: "Send selected recipients to another next hop, whatever routes and MX say.")

  @OptionGroup var configuration: ConfigurationOption

  @OptionGroup var selection: QueueOptions

  @Flag(name: .long, help: "Everything in the queue.")
  var all = false

  @Option(
    name: [.customLong("to"), .customLong("next-hop")], help: "The next hop, like smtp://192.0.2.1:25 or lmtp+unix:///run/lmtp.")
  var nextHop: String

  func command() throws(AdminFailure) -> any AdminCommand {
    ActOnQueue(deed: .reroute(to: nextHop), words: selection.words, meansAll: all)
  }
}
