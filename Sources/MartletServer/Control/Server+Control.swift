import Delivery
import Foundation
import Glibc
import MailModel
import MailStore
import Outside

/// What administrative commands may ask of the running server.
struct ServerReports: LiveServer {
  let server: Server
  let started: MonotonicInstant

  func directoryChanged() async throws(StoreError) { try await server.parts.directory.load(from: server.parts.store) }

  func wakeQueue() { server.wakeQueue() }

  func withdraw(_ recipients: [QueueRecipientID]) async -> Int { await server.withdraw(recipients) }

  func destinations(_ names: [String], busy: Int) async -> [DestinationReport] {
    await server.destinations(names, busy: busy)
  }

  func drain(_ isDraining: Bool) { server.drain(isDraining) }

  var report: LiveReport {
    let census = server.parts.overload.census
    let uptime = server.parts.clock.monotonic().since(started).components.seconds
    return LiveReport(
      process: getpid(), uptime: uptime, listeners: server.listenerReports, shedSessions: census.shedSessions,
      refusedConnections: census.refusedConnections, droppedNotes: server.parts.store.droppedNotes,
      draining: server.isDraining)
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
      store: parts.store, live: ServerReports(server: self, started: parts.clock.monotonic()),
      configuration: { [self] in configuration },
      clock: parts.clock, log: parts.log, parse: parse)
    return try await ControlListener.start(path: configuration.controlSocket, service: service, loops: parts.loops, log: parts.log)
  }

  /// Runs an administrative command in this process.
  public func run(_ command: any AdminCommand, output: any AdminOutput, input: [UInt8] = []) async throws(AdminFailure) {
    let live = ServerReports(server: self, started: parts.clock.monotonic())
    let context = AdminContext(
      store: parts.store, configuration: configuration, live: live, clock: parts.clock, input: input, output: output,
      timeZone: .current)
    try await command.run(context)
  }
}
