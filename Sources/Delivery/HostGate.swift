import Outside
import Routing

/// What is known of one host, and how many connections it gets, whichever domains and routes lead to it.
///
/// There is one for each host name and one for each address, and a connection needs a place in both: 10,000 domains with MX sets of their
/// own that share a host, or one host by 10,000 names, get no more than one domain would.
///
/// The window of connections grows by one with each message that is taken, up to `connectionsPerDestination`. It halves when the host
/// says 421, is silent or can't be reached, shrinks by one when it defers a message (another 4xx), and then stays as it is for
/// `DeliveryTimes.growthPause`. After some failures in a row, and while no other connection works, the circuit opens: nothing is tried until
/// a pause is over, then one connection is the probe.
///
/// Not `Sendable`: it lives and dies on delivery's loop.
final class HostGate {
  /// Whether a connection may be made now.
  enum Access {
    case open
    /// Its window is full.
    case full
    /// It failed, and its pause is not over or its probe is under way.
    case closed
  }

  private(set) var limits: DeliveryLimits
  private(set) var times: DeliveryTimes

  /// Those that are being made too.
  private(set) var connections = 0
  /// Those that have greeted.
  private(set) var established = 0
  private(set) var window: Int
  private var failures = 0
  private var pause: Duration
  /// Nothing is tried before.
  private(set) var closedUntil: MonotonicInstant?
  /// Others of its route are tried before it until then.
  private var doubtfulUntil: MonotonicInstant?
  private var growsFrom: MonotonicInstant?
  /// The last failure, for those who are sent back.
  private(set) var lastProblem: DeliveryProblem?
  var lastUsed: MonotonicInstant

  /// Pools that wait for a place here, oldest first.
  private var waiting: [DestinationPool] = []
  private var waitingKeys: Set<String> = []
  /// Workers that rest on an open connection here.
  private var resting: [Worker] = []

  init(limits: DeliveryLimits, times: DeliveryTimes, now: MonotonicInstant) {
    self.limits = limits
    self.times = times
    self.window = min(max(limits.firstConnections, 1), max(limits.connectionsPerDestination, 1))
    self.pause = times.circuit
    self.lastUsed = now
  }

  /// Takes other limits, for the connections and failures to come.
  func update(_ limits: DeliveryLimits, _ times: DeliveryTimes) {
    (self.limits, self.times) = (limits, times)
    window = min(window, max(limits.connectionsPerDestination, 1))
  }

  /// Nothing is lost when it is forgotten.
  func isIdle(at now: MonotonicInstant) -> Bool { isUnused && !isClosed(at: now) }

  /// Nobody has a connection there or waits for one.
  var isUnused: Bool { connections == 0 && waiting.isEmpty }

  // MARK: Places

  func access(at now: MonotonicInstant) -> Access {
    // A probe goes alone.
    if let closedUntil { return now < closedUntil || connections > 0 ? .closed : .open }
    return connections < window ? .open : .full
  }

  func isClosed(at now: MonotonicInstant) -> Bool { closedUntil.map { now < $0 } ?? false }

  func isDoubtful(at now: MonotonicInstant) -> Bool { doubtfulUntil.map { now < $0 } ?? false }

  func enter(at now: MonotonicInstant) {
    connections += 1
    lastUsed = now
  }

  func establish() { established += 1 }

  func leave(wasEstablished: Bool) {
    connections = max(connections - 1, 0)
    if wasEstablished { established = max(established - 1, 0) }
  }

  // MARK: Who waits

  /// `pool` is to be served when there is room.
  func wait(_ pool: DestinationPool) {
    if waitingKeys.insert(pool.key).inserted { waiting.append(pool) }
  }

  /// As many pools wait as may.
  var isCrowded: Bool { waiting.count >= max(limits.poolsWaitingPerHost, 1) }

  /// Those that wait, who wait no more.
  func takeWaiting() -> [DestinationPool] {
    defer { (waiting, waitingKeys) = ([], []) }
    return waiting
  }

  /// Puts back those of `takeWaiting` that have not had their turn, before all others.
  func wait(_ pools: ArraySlice<DestinationPool>) {
    let first = pools.filter { waitingKeys.insert($0.key).inserted }
    waiting = first + waiting
  }

  /// Whether another pool has jobs for a place here.
  func isWanted(except pool: DestinationPool) -> Bool { waiting.contains { $0 !== pool && $0.count > 0 } }

  func rests(_ worker: Worker) { resting.append(worker) }
  func restsNoMore(_ worker: Worker) { resting.removeAll { $0 === worker } }

  /// Lets a connection that rests here for another pool be closed, since its place is wanted.
  func dismissIdle(for pool: DestinationPool) { resting.last { $0.pool !== pool && !$0.mustQuit }?.wake(quitting: true) }

  // MARK: What was learnt

  /// A message was taken, or refused for its own sake.
  func succeeded(at now: MonotonicInstant) {
    lives()
    if let growsFrom, now < growsFrom { return }
    growsFrom = nil
    if window < limits.connectionsPerDestination { window += 1 }
  }

  /// The host lives, but said 4xx to a message.
  func deferred(at now: MonotonicInstant) {
    lives()
    window = max(window - 1, 1)
    growsFrom = now.advanced(by: times.growthPause)
  }

  private func lives() {
    failures = 0
    closedUntil = nil
    doubtfulUntil = nil
    pause = times.circuit
  }

  /// The host said 421, was silent, or can't be reached. Whether the circuit is open now.
  ///
  /// - Parameter wasEstablished: the connection that failed had got past its greeting.
  @discardableResult
  func failed(_ problem: DeliveryProblem, wasEstablished: Bool, opensCircuit: Bool = true, at now: MonotonicInstant) -> Bool {
    lastProblem = problem
    let others = established - (wasEstablished ? 1 : 0)
    // One more than it bears: what works stays as it is.
    window = !wasEstablished && others > 0 ? max(min(window, others), 1) : max(min(window, connections) / 2, 1)
    growsFrom = now.advanced(by: times.growthPause)
    guard opensCircuit, others <= 0 else { return false }
    failures += 1
    doubtfulUntil = now.advanced(by: times.doubt)
    guard failures >= max(limits.circuitFailures, 1) else { return false }
    if !isClosed(at: now) {
      closedUntil = now.advanced(by: pause)
      pause = min(pause * 2, times.longestCircuit)
    }
    return true
  }

  /// A person wants it tried now.
  func reset() {
    failures = 0
    closedUntil = nil
    doubtfulUntil = nil
    pause = times.circuit
  }
}

/// A connection's place at its host: by name and by address.
struct HostPlace {
  let host: Route.Host
  let endpoint: Endpoint
  let name: HostGate
  let address: HostGate

  /// What the last word on the connection was.
  enum Word {
    case taken
    case deferred
    /// No connection came about: of no meaning for the host's other addresses.
    case unreachable(DeliveryProblem)
    case failed(DeliveryProblem, wasEstablished: Bool)
  }

  func enter(at now: MonotonicInstant) {
    name.enter(at: now)
    address.enter(at: now)
  }

  func establish() {
    name.establish()
    address.establish()
  }

  func leave(wasEstablished: Bool) {
    name.leave(wasEstablished: wasEstablished)
    address.leave(wasEstablished: wasEstablished)
  }

  func note(_ word: Word, at now: MonotonicInstant) {
    switch word {
    case .taken:
      name.succeeded(at: now)
      address.succeeded(at: now)
    case .deferred:
      name.deferred(at: now)
      address.deferred(at: now)
    case .unreachable(let problem): address.failed(problem, wasEstablished: false, at: now)
    case .failed(let problem, let wasEstablished):
      // A name is out of reach only if all its addresses are.
      name.failed(problem, wasEstablished: wasEstablished, opensCircuit: false, at: now)
      address.failed(problem, wasEstablished: wasEstablished, at: now)
    }
  }
}
