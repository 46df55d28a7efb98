import ArgumentParser
import MartletServer

/// A subcommand that runs where the store is.
protocol AdminSubcommand: AsyncParsableCommand, Sendable {
  var configuration: ConfigurationOption { get }

  /// What its words mean. Called at both ends of the control socket.
  func command() throws(AdminFailure) -> any AdminCommand

  /// Where its files go; nil if it makes none. Called where the person is.
  func files() throws(AdminFailure) -> FileSink?

  /// What goes with it, from standard input. Called where the person is.
  func input() throws(AdminFailure) -> [UInt8]
}

extension AdminSubcommand {
  func files() throws(AdminFailure) -> FileSink? { nil }
  func input() throws(AdminFailure) -> [UInt8] { [] }
  func run() async throws { try await AdminRunner.run(self) }
}

extension AdminFailure {
  /// Tells the failure on standard error and ends the process with its code.
  func exit() -> ExitCode {
    let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
    for line in lines { Console.error("martlet: \(line)") }
    return ExitCode(Int32(exitCode))
  }
}
