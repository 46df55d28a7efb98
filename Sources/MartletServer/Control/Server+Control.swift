import Foundation
import Glibc
import MailModel
import MailStore
import Outside

/// What administrative commands may ask of the running server.
struct ServerReports: LiveServer {
  let server: Server
  let started: MonotonicInstant

  func directoryChanged() async throws(StoreError) { try await server.directory.load(from: server.store) }

  func wakeQueue() { server.wakeQueue() }

  func withdraw(_ recipients: [QueueRecipientID]) async -> Int { await server.withdraw(recipients) }

  var report: LiveReport {
    let census = server.overload.census
    let uptime = server.clock.monotonic().since(started).components.seconds
    return LiveReport(
      process: getpid(), uptime: uptime, listeners: server.listenerReports, shedSessions: census.shedSessions,
      refusedConnections: census.refusedConnections, droppedNotes: server.store.droppedNotes)
  }
}

extension Server {
  /// Starts listening on the control socket of the data folder.
  ///
  /// - Parameter parse: reads a command's words.
  public func startControl(
    parse: @escaping @Sendable ([String]) throws(AdminFailure) -> any AdminCommand
  ) async throws -> ControlListener {
    let service = ControlService(
      store: store, live: ServerReports(server: self, started: clock.monotonic()), configuration: { [self] in configuration },
      clock: clock,
      log: log, parse: parse)
    return try await ControlListener.start(path: configuration.controlSocket, service: service, loops: loops, log: log)
  }

  /// Runs an administrative command in this process.
  public func run(_ command: any AdminCommand, output: any AdminOutput, input: [UInt8] = []) async throws(AdminFailure) {
    let live = ServerReports(server: self, started: clock.monotonic())
    let context = AdminContext(
      store: store, configuration: configuration, live: live, clock: clock, input: input, output: output, timeZone: .current)
    try await command.run(context)
  }
}
