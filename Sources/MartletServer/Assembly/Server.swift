import Configuration
import Delivery
import Identity
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import Reception
import Routing
import SMTP
import Sessions
import Synchronization

/// The whole server, put together: store, directory, reception, delivery, listeners. The one place where parts meet.
///
/// Life: `start` opens the store (taking its lock), loads the directory, starts delivery, then accepts connections; `reload` takes
/// another configuration without dropping a session; `close` stops accepting, lets sessions end (at most 10 s), commits, closes.
///
/// Failure: `start` throws with what is wrong and leaves nothing running; a failed `reload` leaves the old state.
public final class Server: Sendable {
  let parts: Parts
  let notes: any ParsingNotes
  let state: Mutex<State>

  struct State {
    var configuration: Configuration
    var resolver: UnboundResolver
    var formerResolver: UnboundResolver?
    var listeners: [Listener] = []
    var services: [ListenerService] = []
    var isDraining = false
  }

  /// Where it listens, in the order of the configuration.
  public var endpoints: [Endpoint] { state.withLock { $0.listeners.map(\.endpoint) } }

  /// Its listeners and what they have done, for `martlet status`.
  var listenerReports: [LiveReport.Listener] {
    state.withLock { state in
      zip(state.configuration.listeners, state.listeners).map { section, listener in
        let counts = listener.counts
        return LiveReport.Listener(
          protocol: section.service.rawValue, address: listener.endpoint.description, open: counts.open, accepted: counts.accepted,
          refused: counts.refused)
      }
    }
  }

  /// What the sessions of each listener begin with.
  var services: [ListenerService] { state.withLock { $0.services } }

  /// The configuration it runs by.
  public var configuration: Configuration { state.withLock { $0.configuration } }

  private init(_ parts: Parts, _ configuration: Configuration, notes: any ParsingNotes) {
    self.parts = parts
    self.notes = notes
    state = Mutex(State(configuration: configuration, resolver: parts.resolver))
  }

  /// Starts everything.
  ///
  /// - Parameter sockets: listening sockets in the order of `configuration.listeners`, bound beforehand (with the rights for low
  ///   ports); nil binds them here.
  /// - Parameter notes: shared with the supervisor.
  public static func start(
    _ configuration: Configuration, sockets: [ListeningSocket]? = nil, notes: any ParsingNotes = NoParsingNotes(), log: Logger
  ) async throws -> Server {
    let sockets = try sockets ?? configuration.listeners.map { try ListeningSocket.bind($0.address) }
    do {
      let parts = try await Parts.assemble(configuration, sockets: sockets, log: log)
      let server = Server(parts, configuration, notes: notes)
      server.followChanges()
      parts.loops.all[0].start { parts.scheduler.start() }
      try await server.listen(on: sockets, configuration)
      // It survives a crash, not a stop: whoever stopped the server meant to start it.
      if (notes as? SharedNotes)?.isDraining == true { server.drain(true) }
      return server
    } catch {
      for socket in sockets { socket.close() }
      throw error
    }
  }

  /// What the store changed under our feet: another RCPT answer, work for the queue.
  private func followChanges() {
    parts.store.observeDroppedNotes { [log = parts.log] count in
      log.warning("trace events dropped: more were refused than the store could note", metadata: ["count": "\(count)"])
    }
    parts.store.observe { [parts] changes in
      if changes.contains(.directory) {
        parts.loops.all[0].start {
          do throws(StoreError) {
            try await parts.directory.load(from: parts.store)
          } catch {
            parts.log.error("directory could not be read again", metadata: ["problem": "\(error)"])
          }
        }
      }
      if changes.contains(.queue) { parts.loops.all[0].loop.execute { parts.scheduler.newWork() } }
    }
  }

  private func listen(on sockets: [ListeningSocket], _ configuration: Configuration) async throws {
    let full = FullMailboxes(clock: parts.clock)
    let memory = ContentMemory()
    for (socket, section) in zip(sockets, configuration.listeners) {
      let service = ListenerService(section: section, server: self, fullMailboxes: full, contentMemory: memory, configuration)
      var options = ListenerOptions(name: "\(section.service.rawValue) \(socket.endpoint.description)")
      options.limits = Settings.serverLimits(configuration)
      options.refusal = { [weak self] in service.refusal(isDraining: self?.isDraining ?? false) }
      let listener = try await Listener.start(
        on: socket, options: options, loops: parts.loops, clock: parts.clock, logger: parts.log
      ) { connection in
        await service.session(connection).run()
      }
      state.withLock {
        $0.listeners.append(listener)
        $0.services.append(service)
      }
      parts.log.notice("listening", metadata: ["protocol": "\(section.service.rawValue)", "address": "\(socket.endpoint)"])
    }
  }

  /// Takes another configuration, for all that begins from now on; sessions that run go on as they began. What needs a start
  /// (`Settings.needingStart`: sockets, the store, the process) is told and left as it is.
  public func reload(_ wanted: Configuration) async throws {
    let old = self.configuration
    let configuration = Settings.applicable(wanted, after: old)
    // What can be wrong comes first.
    let table = try Settings.routeTable(configuration)
    let resolver = configuration.dns == old.dns ? nil : try UnboundResolver(Settings.resolver(configuration))
    try parts.tls.reload(configuration, clock: parts.clock)
    if let resolver { use(resolver) }
    parts.router.update(Settings.router(configuration, table: table, addresses: endpoints))
    let delivery = Settings.delivery(configuration)
    parts.loops.all[0].start { [parts] in parts.scheduler.update(delivery) }
    parts.reception.update(Settings.reception(configuration))
    parts.overload.update(Settings.overload(configuration))
    parts.directory.update(DirectorySettings(configuration.directory))
    try await parts.directory.load(from: parts.store)
    let services = state.withLock { state in
      state.configuration = configuration
      return state.services
    }
    for (service, section) in zip(services, configuration.listeners) {
      service.update(section, configuration, tls: parts.tls.server)
    }
    wakeQueue()
    parts.log.notice("configuration reloaded")
    let keys = Settings.needingStart(from: old, to: wanted)
    if !keys.isEmpty { parts.log.warning("takes effect at the next start: \(keys.joined(separator: ", "))") }
  }

  /// Asks another resolver from now on. The old one answers what it was asked, and ends at the reload after this.
  private func use(_ resolver: UnboundResolver) {
    parts.router.use(resolver)
    let ended = state.withLock { state in
      defer { (state.formerResolver, state.resolver) = (state.resolver, resolver) }
      return state.formerResolver
    }
    ended?.stop()
  }

  /// Ends politely, and the event loops with it: `close` for a process that goes on.
  public func shutdown() async {
    await close()
    await parts.loops.shutdown()
  }

  /// Ends politely: no new connections, `421` to who waits, whole messages finished, everything committed. Returns within about 10 s. The
  /// event loops are left to the end of the process: NIO ends them by a thread that it may not get (HOSTILE 60).
  public func close() async {
    let listeners = state.withLock { $0.listeners }
    await withTaskGroup(of: Void.self) { group in
      for listener in listeners { group.addTask { await listener.stop() } }
      let deadline = parts.clock.monotonic().advanced(by: .seconds(8))
      let delivery = parts.loops.all[0].start { [parts] in await parts.scheduler.stop(until: deadline) }
      group.addTask { await delivery.value }
    }
    await parts.store.close()
    for resolver in state.withLock({ [$0.resolver, $0.formerResolver] }) { resolver?.stop() }
    parts.log.notice("stopped")
  }
}
