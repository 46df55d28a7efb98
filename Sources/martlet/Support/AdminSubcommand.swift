import ArgumentParser
import MartletServer

/// A subcommand that runs where the store is.
protocol AdminSubcommand: AsyncParsableCommand, Sendable {
  var configuration: ConfigurationOption { get }

  /// What its words mean. Called at both ends of the control socket.
  func command() throws(AdminFailure) -> any AdminCommand

  /// What it needs of the store where no server runs.
  var storeUse: StoreUse { get }

  /// Where its files go; nil if it makes none. Called where the person is.
  func files() throws(AdminFailure) -> FileSink?

  /// What goes with it, from standard input and files. Called where the person is.
  ///
  /// - Parameter file: what `configuration` names, read already: a pipe can be read only once.
  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8]
}

extension AdminSubcommand {
  func files() throws(AdminFailure) -> FileSink? { nil }
  func input(_ file: ConfigurationFile) throws(AdminFailure) -> [UInt8] { [] }
  var storeUse: StoreUse { .existing }
  func run() async throws { try await AdminRunner.run(self) }
}

extension AdminFailure {
  /// Tells the failure on standard error and ends the process with its code.
  func exit() -> ExitCode {
    let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
    for line in lines { Console.error("martlet: \(Self.visible(line))") }
    return ExitCode(Int32(exitCode))
  }

  /// Without what a terminal would obey: words of the command line, and of mail, stand in it.
  private static func visible(_ line: some StringProtocol) -> String {
    var text = ""
    for scalar in line.unicodeScalars {
      let isControl = scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
      text.unicodeScalars.append(isControl && scalar != "\t" ? "?" : scalar)
    }
    return text
  }
}
