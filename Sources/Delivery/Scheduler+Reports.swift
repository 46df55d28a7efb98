import MailModel
import Outside
import Routing

/// What is going on towards one destination.
public struct DestinationReport: Hashable, Sendable, Codable {
  public enum Circuit: String, Hashable, Sendable, Codable {
    /// Connections are made.
    case closed
    /// Nothing is tried until a pause is over.
    case open
    /// One connection tries whether it is alive again, or is about to.
    case probing
  }

  /// A domain, or a next hop's text without its password.
  public var destination: String
  /// Its best host.
  public var host: String
  /// Connections now, those that are being made too.
  public var connections: Int
  /// Connections that its best hosts may have now in all, those for other destinations too.
  public var window: Int
  /// Messages that took their last recipients' host's positive reply in the last minute.
  public var messagesPerMinute: Int
  public var circuit: Circuit
  /// Seconds until the next attempt where the circuit is open.
  public var retryIn: Int64?
  /// The first pattern of the rule that bounds it; nil: none does.
  public var rule: String?
  /// The last failure of its connections.
  public var lastProblem: String?
}

extension Scheduler {
  /// What is known of `destinations` as queued recipients have them, and of up to `busy` others that have connections or had some of late.
  ///
  /// Those that delivery knows nothing of are left out.
  public func reports(of destinations: [String], busy: Int) -> [DestinationReport] {
    confine()
    var result: [DestinationReport] = []
    var seen: Set<String> = []
    for destination in destinations {
      guard let pool = groupPools[services.router.group(of: destination)] else { continue }
      seen.insert(pool.lastGroup)
      result.append(report(of: destination, pool))
    }
    let now = services.clock.monotonic()
    var others = 0
    for pool in poolOrder where others < busy && !seen.contains(pool.lastGroup) {
      guard pool.workers > 0 || pool.rate.perMinute(at: now) > 0, seen.insert(pool.lastGroup).inserted else { continue }
      others += 1
      result.append(report(of: NextHopText.redacted(pool.lastGroup), pool))
    }
    return result
  }

  private func report(of destination: String, _ pool: DestinationPool) -> DestinationReport {
    let now = services.clock.monotonic()
    let best = pool.route.hosts.map(\.preference).min() ?? 0
    let hosts = pool.route.hosts.filter { $0.preference == best }
    let gates = hosts.map { self.hosts.name(of: $0, at: now) }
    let addresses = pool.route.hosts.flatMap(\.endpoints).map { self.hosts.address($0, at: now) }
    let isClosed = !addresses.isEmpty && addresses.allSatisfy { $0.closedUntil != nil }
    let retry = addresses.compactMap(\.closedUntil).min().map { $0.since(now).components.seconds }
    return DestinationReport(
      destination: destination, host: hosts.first?.name ?? "", connections: pool.workers,
      window: min(gates.reduce(0) { $0 + $1.window }, max(settings.limits.connectionsPerDestination, 1)),
      messagesPerMinute: pool.rate.perMinute(at: now),
      circuit: !isClosed ? .closed : addresses.allSatisfy { $0.isClosed(at: now) } ? .open : .probing,
      retryIn: isClosed ? retry : nil, rule: pool.budget?.name, lastProblem: pool.lastProblem?.text)
  }
}
