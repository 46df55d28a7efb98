import ArgumentParser
import Configuration
import MartletServer

/// `martlet rehearse`
struct RehearseCommand: AdminSubcommand {
  static let configuration = CommandConfiguration(
    commandName: "rehearse", abstract: "Judge the recorded traffic again under another configuration.",
    discussion: """
      Lists each message of the trace whose verdict or route would differ under the file that --config names, and what can't be judged \
      again. Nothing is changed, and the DNS is not asked: its answers are those that the trace has. The file's data folder says whose \
      traffic it is.
      """)

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  @Option(
    name: .long,
    help: "Only messages that came since then: 30m, 2h, 3d, 1w ago, or a date: 2026-11-28, 2026-11-28T14:30, with Z in UTC.")
  var since: String?

  func validate() throws {
    guard configuration.config != nil else { throw ValidationError("--config names the configuration to be tried") }
  }

  func command() throws(AdminFailure) -> any AdminCommand {
    Rehearse(since: since, isJSON: format.json)
  }

  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] {
    // Where no server runs, what it would start with is what the traffic came under.
    let usual = configuration.usualPath
    return try DryRunInput(configuration: file, message: nil, usual: usual == file.path ? nil : usual).encoded()
  }

  var storeUse: StoreUse { .reading }
}
