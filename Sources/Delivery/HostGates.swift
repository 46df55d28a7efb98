import Outside
import Routing

/// All hosts that are known, by name and by address. Bounded by `DeliveryLimits.destinations` of each; those that carry nothing go first.
struct HostGates {
  private struct Name: Hashable {
    var name: String
    var port: UInt16
  }

  private var names: [Name: HostGate] = [:]
  private var addresses: [Endpoint: HostGate] = [:]
  private var limits: DeliveryLimits
  private var times: DeliveryTimes

  init(limits: DeliveryLimits, times: DeliveryTimes) {
    self.limits = limits
    self.times = times
  }

  private var all: [HostGate] { Array(names.values) + Array(addresses.values) }

  mutating func update(_ limits: DeliveryLimits, _ times: DeliveryTimes) {
    (self.limits, self.times) = (limits, times)
    for gate in all { gate.update(limits, times) }
  }

  /// A person wants all of them tried now.
  func reset() { for gate in all { gate.reset() } }

  mutating func address(_ endpoint: Endpoint, at now: MonotonicInstant) -> HostGate {
    if let found = addresses[endpoint] { return found }
    Self.makeRoom(in: &addresses, limits.destinations, now)
    let made = HostGate(limits: limits, times: times, now: now)
    addresses[endpoint] = made
    return made
  }

  mutating func name(of host: Route.Host, at now: MonotonicInstant) -> HostGate {
    var port: UInt16 = 0
    if case .ip(_, let number)? = host.endpoints.first { port = number }
    let key = Name(name: host.name, port: port)
    if let found = names[key] { return found }
    Self.makeRoom(in: &names, limits.destinations, now)
    let made = HostGate(limits: limits, times: times, now: now)
    names[key] = made
    return made
  }

  /// Forgets gates that carry nothing, the longest unused half of them; where all have failed just now, all that carry nothing.
  private static func makeRoom<Key>(in gates: inout [Key: HostGate], _ limit: Int, _ now: MonotonicInstant) {
    guard gates.count >= max(limit, 1) else { return }
    let idle = gates.filter { $0.value.isIdle(at: now) }
    // Of equals any may go: forgetting costs one more try.
    let middle = idle.map(\.value.lastUsed).sorted().dropFirst(idle.count / 2).first ?? now
    gates = gates.filter { !($0.value.isIdle(at: now) && $0.value.lastUsed <= middle) }
    if gates.count >= max(limit, 1) { gates = gates.filter { !$0.value.isUnused } }
  }

  // MARK: Choosing

  /// Where the next connection of a route may go.
  enum Access {
    case open(HostPlace)
    /// All that may be tried now have as many connections as they get: wait at these.
    case full([HostGate])
    /// All failed, and their pauses are not over.
    case closed(DeliveryProblem?)
  }

  /// The first place to try among `hosts` (in the order to try).
  ///
  /// Those that failed lately come last. A host that is full is waited for: its backups (a higher preference) are for when it is out of
  /// reach (RFC 5321, 5.1).
  mutating func access(to hosts: some Sequence<Route.Host>, at now: MonotonicInstant) -> Access {
    var full: [HostGate] = []
    var fullPreference: UInt16?
    var doubtful: HostPlace?
    var problem: DeliveryProblem?
    search: for host in hosts {
      if let fullPreference, host.preference > fullPreference { break }
      let name = name(of: host, at: now)
      for endpoint in host.endpoints {
        let address = address(endpoint, at: now)
        switch address.access(at: now) {
        case .closed: problem = problem ?? address.lastProblem
        case .full:
          full.append(address)
          fullPreference = host.preference
        case .open:
          guard case .open = name.access(at: now) else {
            full.append(name)
            fullPreference = host.preference
            continue search
          }
          let place = HostPlace(host: host, endpoint: endpoint, name: name, address: address)
          guard address.isDoubtful(at: now) else { return .open(place) }
          doubtful = doubtful ?? place
        }
      }
    }
    if !full.isEmpty { return .full(full) }
    return doubtful.map { .open($0) } ?? .closed(problem)
  }

  /// Every place of `hosts` in the order to try, those that failed lately last, without those whose circuit is open.
  mutating func places(of hosts: some Sequence<Route.Host>, at now: MonotonicInstant) -> [HostPlace] {
    var good: [HostPlace] = []
    var doubtful: [HostPlace] = []
    for host in hosts {
      let name = name(of: host, at: now)
      for endpoint in host.endpoints {
        let place = HostPlace(host: host, endpoint: endpoint, name: name, address: address(endpoint, at: now))
        if case .closed = place.address.access(at: now) { continue }
        if place.address.isDoubtful(at: now) { doubtful.append(place) } else { good.append(place) }
      }
    }
    return good + doubtful
  }
}
