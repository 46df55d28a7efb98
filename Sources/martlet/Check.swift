import ArgumentParser
import MartletServer

/// `martlet check`
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check the configuration without starting.",
    discussion: "Tells all problems at once, and looks at the certificates, files and users that it names. Warnings end with 0.")

  @OptionGroup var configuration: ConfigurationOption

  func run() throws {
    do throws(AdminFailure) {
      let file = try ConfigurationFile(path: configuration.path)
      let findings = file.findings(now: SystemClock().now())
      for warning in findings.warnings { Console.error("warning: \(warning)") }
      for problem in findings.problems { Console.error(problem) }
      guard findings.problems.isEmpty else {
        throw AdminFailure(
          "\(findings.problems.count == 1 ? "1 problem" : "\(findings.problems.count) problems") in \(file.path)", exitCode: 78)
      }
      Console.say(
        "\(file.path) is right: \(file.configuration.listeners.count) listeners, \(file.configuration.routes.count) routes")
    } catch {
      throw error.exit()
    }
  }
}
