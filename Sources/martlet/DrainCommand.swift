import ArgumentParser
import Configuration
import MartletServer

/// `martlet drain`
struct DrainCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Take no more mail, and deliver what waits.",
    discussion: """
      New connections get 421 4.3.2, sessions that run end at their next command; what is queued is delivered as ever. It lasts until \
      --off or the next start of the server; a crash does not end it.
      """)

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Flag(name: .long, help: "Take mail again.")
  var off = false

  @Flag(name: .long, help: "Wait until only deferred and held mail is left.")
  var wait = false

  func validate() throws {
    if off, wait { throw ValidationError("--off ends the draining: there is nothing to wait for") }
  }

  func command() throws(AdminFailure) -> any AdminCommand {
    DrainServer(isOff: off, waits: wait, isJSON: format.json)
  }
}
