import ArgumentParser
import MartletServer

/// `martlet queue soft-bounce`, which others have as a command: says where the switch is.
///
/// It stands in the configuration, so that a restart can't turn it off unseen.
struct QueueSoftBounce: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soft-bounce", abstract: "Say how soft-bounce mode is switched.", shouldDisplay: false)

  @OptionGroup var configuration: ConfigurationOption

  @Argument(help: "on or off.")
  var words: [String] = []

  func run() throws {
    let isOn = words.first != "off"
    throw AdminFailure(
      "soft-bounce mode is a setting: write \(isOn ? "soft-bounce = true" : "soft-bounce = false") under [queue] in "
        + "\(configuration.path) and send SIGHUP to the server (systemctl reload); \"martlet status\" says when it is on",
      exitCode: 64
    ).exit()
  }
}
