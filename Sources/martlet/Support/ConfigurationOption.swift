import ArgumentParser
import Foundation

/// `--config FILE`, which every command takes.
struct ConfigurationOption: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "The configuration.", discussion: "Default: $MARTLET_CONFIG, else /etc/martlet/martlet.toml.", valueName: "file"))
  var config: String?

  /// The file that counts.
  var path: String {
    config ?? usualPath
  }

  /// The file that counts where none is named.
  var usualPath: String {
    if let named = ProcessInfo.processInfo.environment["MARTLET_CONFIG"], !named.isEmpty { return named }
    return "/etc/martlet/martlet.toml"
  }
}

/// `--json`, where scripts read.
struct JSONOption: ParsableArguments {
  @Flag(name: .long, help: "Answer in JSON.")
  var json = false
}
