import ArgumentParser
import MartletServer

/// `martlet check`
struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check the configuration without starting.",
    discussion: "Tells all problems at once, and looks at the certificates, files and users that it names. Warnings end with 0.")

  @OptionGroup var configuration: ConfigurationOption
  @OptionGroup var format: JSONOption

  func run() throws {
    let report = ConfigurationReport(path: configuration.path, now: SystemClock().now())
    if format.json {
      Console.say(report.json)
    } else {
      for warning in report.warnings { Console.error("warning: \(warning)") }
      for problem in report.problems { Console.error(problem) }
      if report.isRight {
        Console.say("\(report.file) is right: \(report.listeners) listeners, \(report.routes) routes")
      }
    }
    guard !report.isRight else { return }
    let count = report.problems.count
    throw AdminFailure("\(count == 1 ? "1 problem" : "\(count) problems") in \(report.file)", exitCode: 78).exit()
  }
}
