import Outside
import Synchronization

/// What is shed first when clients ask for more than there is.
///
/// Promise: one client can't take the places of the others (a cap for each address or /64), all together can't take more
/// than the cap of the whole, and who sits idle goes before who works. Rates are counted in a sliding minute of two halves.
///
/// Limits: `OverloadLimits`. Memory: at most `clientsRemembered` counts of about 64 bytes and one row for each open session.
/// Failure: a refusal is an answer with its reason; nothing here throws or waits.
///
/// Shared between event loops behind one mutex, taken twice a connection and once a message; never for a command.
public final class Overload: Sendable {
  /// What a new connection is told.
  public enum Admission: Sendable {
    case admitted(Ticket)
    /// `421 4.7.0`: this client has too many.
    case tooManyFromClient
    /// `421 4.3.2`: the server has too many, and none is idle.
    case tooManyInAll
  }

  /// A place taken by a session; given back by `leave`.
  ///
  /// Whether its session is idle stands in it, not behind the mutex: it changes with every command.
  public final class Ticket: Sendable {
    let number: UInt64
    /// Nanoseconds of the monotonic clock since when the session waits for its client; 0 while it works.
    private let waiting: Atomic<UInt64>

    init(number: UInt64, since now: MonotonicInstant) {
      self.number = number
      self.waiting = Atomic(max(now.nanoseconds, 1))
    }

    /// The session begins to wait for its client. Any thread; costs one store.
    public func waits(since now: MonotonicInstant) { waiting.store(max(now.nanoseconds, 1), ordering: .relaxed) }

    /// The session has something to do again.
    public func works() { waiting.store(0, ordering: .relaxed) }

    var idleSince: MonotonicInstant? {
      let since = waiting.load(ordering: .relaxed)
      return since == 0 ? nil : MonotonicInstant(nanoseconds: since)
    }
  }

  /// Who shares a count: an IPv4 address, an IPv6 /64, or everybody on a Unix socket.
  public struct ClientKey: Hashable, Sendable {
    let bytes: [UInt8]

    public init(_ remote: Endpoint) {
      switch remote {
      case .ip(let address, _): bytes = address.isIPv4 ? address.bytes : Array(address.bytes.prefix(8))
      case .unix: bytes = []
      }
    }
  }

  private struct Client {
    var connections = 0
    var minute: UInt64 = 0
    var thisMinute = 0
    var lastMinute = 0
  }

  private struct Session {
    let ticket: Ticket
    /// Whose counts it takes part in; nil for nobody's.
    var client: ClientKey?
    /// It was told to go and has not left yet.
    var isShed = false
    let shed: @Sendable () -> Void
  }

  private struct State {
    var limits: OverloadLimits
    var clients: [ClientKey: Client] = [:]
    var sessions: [UInt64: Session] = [:]
    var nextNumber: UInt64 = 1
    var shedSessions: UInt64 = 0
    var refusedConnections: UInt64 = 0
  }

  private let clock: any Clock
  private let state: Mutex<State>

  public init(limits: OverloadLimits, clock: any Clock) {
    self.clock = clock
    self.state = Mutex(State(limits: limits))
  }

  /// Takes other limits from now on; who is in stays in.
  public func update(_ limits: OverloadLimits) { state.withLock { $0.limits = limits } }

  /// Judges a new connection.
  ///
  /// - Parameters:
  ///   - isExempt: neither its connections nor its messages are counted (a trusted network); the cap of the whole holds for it too.
  ///   - shed: ends this session politely if its place is needed later; called from any thread.
  public func admit(_ remote: Endpoint, isExempt: Bool = false, shed: @escaping @Sendable () -> Void) -> Admission {
    let now = clock.monotonic()
    var victim: (@Sendable () -> Void)?
    let admission: Admission = state.withLock { state in
      let key = isExempt ? nil : ClientKey(remote)
      let limits = state.limits
      if let key, !Self.hasRoom(for: key, in: state) {
        state.refusedConnections &+= 1
        return .tooManyFromClient
      }
      if limits.connections > 0, state.sessions.count >= limits.connections {
        guard let number = Self.longestIdle(in: state, now: now) else {
          state.refusedConnections &+= 1
          return .tooManyInAll
        }
        victim = state.sessions[number]?.shed
        // Its row goes only with `leave`; it is not chosen twice.
        state.sessions[number]?.isShed = true
        state.shedSessions &+= 1
      }
      let ticket = Ticket(number: state.nextNumber, since: now)
      state.nextNumber &+= 1
      state.sessions[ticket.number] = Session(ticket: ticket, client: key, shed: shed)
      if let key { Self.enter(key, in: &state) }
      return .admitted(ticket)
    }
    victim?()
    return admission
  }

  /// The session turns out to be another client's (XCLIENT): it takes part in that one's counts from now on, in nobody's if it is
  /// exempt. False: that client has too many connections, and nothing changed.
  public func reassign(_ ticket: Ticket, to remote: Endpoint, isExempt: Bool) -> Bool {
    state.withLock { state in
      guard let session = state.sessions[ticket.number] else { return false }
      let key = isExempt ? nil : ClientKey(remote)
      guard key != session.client else { return true }
      if let key, !Self.hasRoom(for: key, in: state) {
        state.refusedConnections &+= 1
        return false
      }
      if let old = session.client { Self.exit(old, in: &state) }
      if let key { Self.enter(key, in: &state) }
      state.sessions[ticket.number]?.client = key
      return true
    }
  }

  /// The session has ended.
  public func leave(_ ticket: Ticket) {
    state.withLock { state in
      guard let session = state.sessions.removeValue(forKey: ticket.number), let key = session.client else { return }
      Self.exit(key, in: &state)
    }
  }

  /// Counts one message of a client. False: it has had its share for this minute (`450 4.7.1`).
  public func countMessage(from ticket: Ticket) -> Bool {
    let minute = clock.monotonic().nanoseconds / 60_000_000_000
    let elapsed = clock.monotonic().nanoseconds % 60_000_000_000
    return state.withLock { state in
      let limit = state.limits.messagesPerClientPerMinute
      guard limit > 0, let key = state.sessions[ticket.number]?.client else { return true }
      var client = state.clients[key] ?? Client()
      if client.minute != minute {
        client.lastMinute = client.minute &+ 1 == minute ? client.thisMinute : 0
        client.thisMinute = 0
        client.minute = minute
      }
      // The share of the last minute that still lies within sixty seconds.
      let carried = Int(UInt64(client.lastMinute) &* (60_000 &- elapsed / 1_000_000) / 60_000)
      let isAllowed = client.thisMinute + carried < limit
      if isAllowed { client.thisMinute += 1 }
      state.clients[key] = client
      return isAllowed
    }
  }

  /// What is going on, for `martlet status`.
  public struct Census: Hashable, Sendable {
    public var sessions: Int
    public var clients: Int
    public var shedSessions: UInt64
    public var refusedConnections: UInt64
  }

  public var census: Census {
    state.withLock {
      Census(
        sessions: $0.sessions.count, clients: $0.clients.count, shedSessions: $0.shedSessions,
        refusedConnections: $0.refusedConnections)
    }
  }

  private static func hasRoom(for key: ClientKey, in state: borrowing State) -> Bool {
    let limit = state.limits.connectionsPerClient
    return limit <= 0 || state.clients[key]?.connections ?? 0 < limit
  }

  private static func enter(_ key: ClientKey, in state: inout State) {
    forgetQuietClients(in: &state)
    state.clients[key, default: Client()].connections += 1
  }

  private static func exit(_ key: ClientKey, in state: inout State) {
    guard var client = state.clients[key] else { return }
    client.connections -= 1
    // With no rate to remember the row is of no use.
    if client.connections <= 0, state.limits.messagesPerClientPerMinute == 0 || client.thisMinute + client.lastMinute == 0 {
      state.clients[key] = nil
    } else {
      state.clients[key] = client
    }
  }

  private static func longestIdle(in state: borrowing State, now: MonotonicInstant) -> UInt64? {
    let patience = Duration.seconds(state.limits.idleBeforeShedding)
    var oldest: (number: UInt64, since: MonotonicInstant)?
    for (number, session) in state.sessions where !session.isShed {
      guard let since = session.ticket.idleSince, now.since(since) >= patience else { continue }
      // Ties go to the older session, so that the choice does not hang on the order of a dictionary.
      if let best = oldest, (best.since, best.number) <= (since, number) { continue }
      oldest = (number, since)
    }
    return oldest?.number
  }

  /// Halves the table of clients by forgetting those that are not connected, when it has grown past its limit.
  private static func forgetQuietClients(in state: inout State) {
    guard state.limits.clientsRemembered > 0, state.clients.count >= state.limits.clientsRemembered else { return }
    state.clients = state.clients.filter { $0.value.connections > 0 }
  }
}
