import ArgumentParser
import Configuration
import Foundation
import Glibc
import MailStore
import MartletServer
import Outside

/// Runs an administrative command: in the server if one runs, else here with the store opened under its lock.
enum AdminRunner {
  /// How long a store that is in use while no control socket answers is waited for: a server is starting or ending then.
  private static let patience = Duration.seconds(10)

  static func run(_ subcommand: some AdminSubcommand) async throws {
    do throws(AdminFailure) {
      let code = try await perform(subcommand)
      if code != 0 { throw AdminFailure("", exitCode: code) }
    } catch {
      if error.message.isEmpty { throw ExitCode(Int32(error.exitCode)) }
      throw error.exit()
    }
  }

  private static func perform(_ subcommand: some AdminSubcommand) async throws(AdminFailure) -> UInt8 {
    let file = try ConfigurationFile(path: subcommand.configuration.path)
    let configuration = file.configuration
    let command = try subcommand.command()
    try DataOwner.check(configuration.process.user)
    let files = try subcommand.files()
    try files?.checkEmpty()
    let input = try subcommand.input(file)
    let output = ConsoleOutput(files: files)
    // What is made in the data folder is for its owner alone.
    umask(0o077)
    let deadline = SystemClock().monotonic().advanced(by: patience)
    while true {
      if let client = try ControlClient(path: configuration.controlSocket) {
        let words = Array(CommandLine.arguments.dropFirst())
        return try client.run(words, input: input, timeZone: TimeZone.current.identifier, output: output)
      }
      if subcommand.storeUse != .making, let absence = StoreOpening.absence(of: configuration) { throw absence }
      switch await open(configuration, for: subcommand.storeUse) {
      case .success(let store): return try await runHere(command, store, configuration, input, output)
      case .failure(.unavailable(let reason)) where reason.contains("in use") && SystemClock().monotonic() < deadline:
        usleep(100_000)
      case .failure(let error): throw AdminFailure(error)
      }
    }
  }

  private static func open(_ configuration: Configuration, for use: StoreUse) async -> Result<SQLiteStore, StoreError> {
    await DataOwner.acting(as: configuration.process.user, in: configuration.data) {
      do {
        return .success(try await StoreOpening.open(configuration, for: use))
      } catch {
        return .failure(error as? StoreError ?? .unavailable("\(error)"))
      }
    }
  }

  private static func runHere(
    _ command: any AdminCommand, _ store: SQLiteStore, _ configuration: Configuration, _ input: [UInt8], _ output: ConsoleOutput
  ) async throws(AdminFailure) -> UInt8 {
    let context = AdminContext(
      store: store, configuration: configuration, live: nil, clock: SystemClock(), input: input, output: output, timeZone: .current)
    var failure: AdminFailure?
    do throws(AdminFailure) {
      try await command.run(context)
    } catch {
      failure = error
    }
    await store.close()
    DataOwner.restore(configuration.data, user: configuration.process.user)
    if let failure { throw failure }
    return 0
  }
}
