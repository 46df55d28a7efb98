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
/// Shared between event loops behind one mutex, taken twice a connection and once a message.
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
  public struct Ticket: Hashable, Sendable {
    let number: UInt64
    let client: ClientKey
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
    var idleSince: MonotonicInstant?
    var shed: @Sendable () -> Void
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
  /// - Parameter shed: ends this session politely if its place is needed later; called from any thread.
  public func admit(_ remote: Endpoint, shed: @escaping @Sendable () -> Void) -> Admission {
    let now = clock.monotonic()
    var victim: (@Sendable () -> Void)?
    let admission: Admission = state.withLock { state in
      let key = ClientKey(remote)
      let limits = state.limits
      if limits.connectionsPerClient > 0, state.clients[key]?.connections ?? 0 >= limits.connectionsPerClient {
        state.refusedConnections &+= 1
        return .tooManyFromClient
      }
      if limits.connections > 0, state.sessions.count >= limits.connections {
        guard let number = Self.longestIdle(in: state, now: now) else {
          state.refusedConnections &+= 1
          return .tooManyInAll
        }
        victim = state.sessions[number]?.shed
        // Its row goes only with `leave`; not idle any more, so that it is not chosen twice.
        state.sessions[number]?.idleSince = nil
        state.shedSessions &+= 1
      }
      Self.forgetQuietClients(in: &state)
      state.clients[key, default: Client()].connections += 1
      let ticket = Ticket(number: state.nextNumber, client: key)
      state.nextNumber &+= 1
      state.sessions[ticket.number] = Session(idleSince: now, shed: shed)
      return .admitted(ticket)
    }
    victim?()
    return admission
  }

  /// The session has ended.
  public func leave(_ ticket: Ticket) {
    state.withLock { state in
      guard state.sessions.removeValue(forKey: ticket.number) != nil, var client = state.clients[ticket.client] else { return }
      client.connections -= 1
      // With no rate to remember the row is of no use.
      if client.connections <= 0, state.limits.messagesPerClientPerMinute == 0 || client.thisMinute + client.lastMinute == 0 {
        state.clients[ticket.client] = nil
      } else {
        state.clients[ticket.client] = client
      }
    }
  }

  /// The session begins to work (`nil`) or waits for its client since `idleSince`. Only told when the server is near its cap matters;
  /// cheap enough to be told each time a session waits longer than a moment.
  public func setIdle(_ ticket: Ticket, since idleSince: MonotonicInstant?) {
    state.withLock { $0.sessions[ticket.number]?.idleSince = idleSince }
  }

  /// Counts one message of a client. False: it has had its share for this minute (`450 4.7.1`).
  public func countMessage(from ticket: Ticket) -> Bool {
    let minute = clock.monotonic().nanoseconds / 60_000_000_000
    let elapsed = clock.monotonic().nanoseconds % 60_000_000_000
    return state.withLock { state in
      let limit = state.limits.messagesPerClientPerMinute
      guard limit > 0 else { return true }
      var client = state.clients[ticket.client] ?? Client()
      if client.minute != minute {
        client.lastMinute = client.minute &+ 1 == minute ? client.thisMinute : 0
        client.thisMinute = 0
        client.minute = minute
      }
      // The share of the last minute that still lies within sixty seconds.
      let carried = Int(UInt64(client.lastMinute) &* (60_000 &- elapsed / 1_000_000) / 60_000)
      let isAllowed = client.thisMinute + carried < limit
      if isAllowed { client.thisMinute += 1 }
      state.clients[ticket.client] = client
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

  private static func longestIdle(in state: borrowing State, now: MonotonicInstant) -> UInt64? {
    let patience = Duration.seconds(state.limits.idleBeforeShedding)
    var oldest: (number: UInt64, since: MonotonicInstant)?
    for (number, session) in state.sessions {
      guard let since = session.idleSince, now.since(since) >= patience else { continue }
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
