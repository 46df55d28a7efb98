import InternetMessage
import MailModel
import Outside
import Synchronization

/// Which refusals are written into the trace one by one, and which are only counted.
///
/// A peer that is refused again and again would else fill the trace at its own speed. Within a minute each client (an address, or a /64)
/// has so many rows; what goes beyond makes one row together. Bounded: clients beyond a number share one count.
final class RefusalNotes: Sendable {
  /// What one client was refused in its minute.
  private struct Minute {
    var end: MonotonicInstant
    var written = 0
    var omitted = 0
  }

  /// Refusals that were counted together.
  struct Omitted: Hashable {
    /// The client's network; nil for many.
    var client: String?
    var count: Int
  }

  private struct State {
    var minutes: [NetworkPrefix: Minute] = [:]
    /// In the order their minutes end.
    var order: [NetworkPrefix] = []
    var others = 0
  }

  private static let span = Duration.seconds(60)
  private let perClient: Int
  private let clients: Int
  private let state = Mutex(State())

  init(_ limits: StoreLimits) {
    perClient = max(limits.notedRefusals, 1)
    clients = max(limits.notedClients, 1)
  }

  /// Whether these events are written: all but refusals of a client that had its rows in this minute.
  func admits(_ events: [TraceEvent], now: MonotonicInstant) -> Bool {
    guard events.allSatisfy({ $0.kind == .refused }), let client = events.first.flatMap(Self.client) else { return true }
    return state.withLock { state in
      if state.minutes[client] == nil {
        guard state.minutes.count < clients else {
          state.others += 1
          return false
        }
        state.minutes[client] = Minute(end: now.advanced(by: Self.span))
        state.order.append(client)
      }
      guard var minute = state.minutes[client] else { return true }
      defer { state.minutes[client] = minute }
      guard minute.written >= perClient else {
        minute.written += 1
        return true
      }
      minute.omitted += 1
      return false
    }
  }

  /// What was counted in the minutes that are over.
  func ended(at now: MonotonicInstant) -> [Omitted] {
    state.withLock { state in
      var found: [Omitted] = []
      var over = 0
      for client in state.order {
        guard let minute = state.minutes[client], minute.end <= now else { break }
        over += 1
        state.minutes[client] = nil
        if minute.omitted > 0 { found.append(Omitted(client: client.description, count: minute.omitted)) }
      }
      state.order.removeFirst(over)
      if state.others > 0, over > 0 || state.order.isEmpty {
        found.append(Omitted(client: nil, count: state.others))
        state.others = 0
      }
      return found
    }
  }

  /// Whether something is still being counted.
  var isCounting: Bool { state.withLock { !$0.order.isEmpty || $0.others > 0 } }

  /// The network that the event's client is one in: its address, or the /64 of an IPv6 address.
  private static func client(_ event: TraceEvent) -> NetworkPrefix? {
    guard var text = event.detail.first(where: { $0.key == "client" })?.value[...] else { return nil }
    if text.hasPrefix("["), text.hasSuffix("]") { text = text.dropFirst().dropLast() }
    if text.hasPrefix("IPv6:") { text = text.dropFirst(5) }
    guard let address = IPAddress(parsing: text.utf8) else { return nil }
    return NetworkPrefix(address: address, length: address.bitCount == 32 ? 32 : 64)
  }
}

extension TraceEvent {
  /// Refusals that are told together.
  init(_ omitted: RefusalNotes.Omitted, at time: Timestamp) {
    self.init(
      time: time, kind: .refused,
      detail: [
        .init("client", omitted.client ?? "many"), .init("omitted", String(omitted.count)),
        .init("reason", "\(omitted.count) more refusals within a minute, told together"),
      ])
  }
}
