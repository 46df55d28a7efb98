import Bytes
import Outside
import Routing

/// What a postmaster allows one destination: a provider, by the domains it serves or the names of its mail hosts.
///
/// All that a rule matches shares its bounds. The domain decides before the host; an exact name before a suffix, a longer suffix before a
/// shorter one, `*` last.
public struct DestinationRule: Hashable, Sendable {
  /// Patterns of recipients' domains: `example.net`, `.example.net` (everything below), `*`. Normalized.
  public var domains: [String]
  /// Patterns of MX hosts or next hops, of the same forms.
  public var hosts: [String]
  /// Connections at one time; nil: as any destination.
  public var concurrency: Int?
  /// Connections begun in a minute; nil: any number.
  public var connectionsPerMinute: Int?
  /// Transactions begun in a minute; nil: any number.
  public var messagesPerMinute: Int?
  /// Transactions begun in an hour; nil: any number.
  public var messagesPerHour: Int?
  /// Messages over one connection; nil: as any destination.
  public var messagesPerConnection: Int?

  public init(
    domains: [String] = [], hosts: [String] = [], concurrency: Int? = nil, connectionsPerMinute: Int? = nil,
    messagesPerMinute: Int? = nil, messagesPerHour: Int? = nil, messagesPerConnection: Int? = nil
  ) {
    self.domains = domains
    self.hosts = hosts
    self.concurrency = concurrency
    self.connectionsPerMinute = connectionsPerMinute
    self.messagesPerMinute = messagesPerMinute
    self.messagesPerHour = messagesPerHour
    self.messagesPerConnection = messagesPerConnection
  }
}

/// Patterns of names with what each stands for. The most exact match counts, whatever the order.
struct PatternTable<Value> {
  private var exact: [String: Value] = [:]
  private var suffixes: [String: Value] = [:]
  private var everything: Value?

  /// Adds a pattern: `name`, `.suffix` or `*`. The first of equals stays.
  mutating func add(_ pattern: String, _ value: Value) {
    if pattern == "*" {
      everything = everything ?? value
    } else if pattern.utf8.first == 0x2E {
      let name = String(pattern.dropFirst())
      suffixes[name] = suffixes[name] ?? value
    } else {
      exact[pattern] = exact[pattern] ?? value
    }
  }

  var isEmpty: Bool { exact.isEmpty && suffixes.isEmpty && everything == nil }

  /// At most 127 steps, one a label.
  func value(for name: String) -> Value? {
    if let found = exact[name] { return found }
    guard !suffixes.isEmpty else { return everything }
    var rest = Substring(name)
    while let dot = rest.firstIndex(of: ".") {
      rest = rest[rest.index(after: dot)...]
      if let found = suffixes[String(rest)] { return found }
    }
    return everything
  }
}

/// The bounds of one rule, and how much of them is used.
///
/// Not `Sendable`: it lives on delivery's loop, and goes into tasks there as `Confined`.
final class DestinationBudget {
  let rule: DestinationRule
  /// What it is called among people, and in the pools' keys: its first pattern.
  let name: String
  private(set) var connections = 0
  private var dials: [Pace]
  private var messages: [Pace]
  /// Where the next recipients that can't wait in memory are put in the queue.
  private var horizon: Timestamp?
  /// Pools whose jobs wait for it, oldest first.
  private var waiting: [DestinationPool] = []
  private var waitingKeys: Set<String> = []
  /// Somebody wakes those that wait, at this moment.
  var wakesAt: MonotonicInstant?

  init(_ rule: DestinationRule) {
    self.rule = rule
    self.name = rule.domains.first ?? rule.hosts.first ?? "*"
    self.dials = rule.connectionsPerMinute.map { [Pace(count: $0, period: .seconds(60))] } ?? []
    self.messages =
      (rule.messagesPerMinute.map { [Pace(count: $0, period: .seconds(60))] } ?? [])
      + (rule.messagesPerHour.map { [Pace(count: $0, period: .seconds(3_600))] } ?? [])
  }

  // MARK: Messages

  func mayStart(at now: MonotonicInstant) -> Bool { messages.allSatisfy { $0.next <= now } }

  func start(at now: MonotonicInstant) {
    for index in messages.indices { messages[index].take(at: now) }
  }

  /// When the next message may begin; nil: at any time.
  var nextStart: MonotonicInstant? { messages.map(\.next).max() }

  /// Jobs that may wait in memory: what goes within a minute.
  var room: Int { messages.map { $0.per(.seconds(60)) }.min() ?? .max }

  /// When one more, for which there is no room in memory, is to be due: one after the other at the rate's pace, behind what waits in
  /// memory. At most an hour ahead, so that a bound that is lifted shows soon.
  func slot(now: Timestamp) -> Timestamp {
    let step = messages.map(\.step).max() ?? .seconds(1)
    let first = now.advanced(by: min(step * max(room / 2, 1), .seconds(120)))
    let next = max(horizon.map { $0.advanced(by: step) } ?? first, first)
    let end = now.advanced(by: .seconds(3_600))
    // Whoever is beyond the hour is looked at again, a little apart from one another.
    horizon = next < end ? next : end
    return horizon ?? next
  }

  // MARK: Connections

  func mayConnect(at now: MonotonicInstant) -> Bool {
    connections < (rule.concurrency ?? .max) && dials.allSatisfy { $0.next <= now }
  }

  /// When a connection may be begun as far as their rate is concerned; nil: at any time.
  var nextDial: MonotonicInstant? { dials.map(\.next).max() }

  func connected(at now: MonotonicInstant) {
    connections += 1
    for index in dials.indices { dials[index].take(at: now) }
  }

  func disconnected() { connections = max(connections - 1, 0) }

  // MARK: Who waits

  func wait(_ pool: DestinationPool) {
    if waitingKeys.insert(pool.key).inserted { waiting.append(pool) }
  }

  /// Whether another pool has jobs that wait for a connection by this rule.
  func isWanted(except pool: DestinationPool) -> Bool {
    connections >= rule.concurrency ?? .max && waiting.contains { $0 !== pool && $0.count > 0 }
  }

  func takeWaiting() -> [DestinationPool] {
    defer { (waiting, waitingKeys) = ([], []) }
    return waiting
  }
}

/// So many events in a period and no more, whichever period one looks at: a second's worth at once, the others evenly behind.
struct Pace {
  /// Nanoseconds between events.
  private let nanoseconds: Int64
  /// Events that may come at once.
  private let burst: Int64
  /// When all that was taken is paid for.
  private var paid = MonotonicInstant(nanoseconds: 0)

  init(count: Int, period: Duration) {
    let count = Int64(clamping: max(count, 1))
    burst = max(count / max(period.components.seconds, 1), 1)
    let steps = count - burst + 1
    // Rounded up: rather a moment late than one too many.
    nanoseconds = max(period.nanoseconds / steps, 0) + 1
  }

  var step: Duration { .nanoseconds(nanoseconds) }

  /// When the next may come.
  var next: MonotonicInstant {
    let (credit, overflow) = nanoseconds.multipliedReportingOverflow(by: burst - 1)
    return paid.advanced(by: .nanoseconds(overflow ? Int64.min : -credit))
  }

  mutating func take(at now: MonotonicInstant) { paid = max(paid, now).advanced(by: step) }

  /// Events in `duration`, at least one and at most a million.
  func per(_ duration: Duration) -> Int { Int(min(max(duration.nanoseconds / nanoseconds, 1), 1_000_000)) }
}

/// The budgets of all rules, and who has which.
struct DestinationBudgets {
  private var domains = PatternTable<DestinationBudget>()
  private var hosts = PatternTable<DestinationBudget>()
  let rules: [DestinationRule]
  /// Grows with each change of the rules, so that pools of former ones take nothing new.
  let generation: Int

  init(_ rules: [DestinationRule] = [], generation: Int = 0) {
    self.rules = rules
    self.generation = generation
    for rule in rules {
      let budget = DestinationBudget(rule)
      for pattern in rule.domains { domains.add(pattern, budget) }
      for pattern in rule.hosts { hosts.add(pattern, budget) }
    }
  }

  /// That of a job's domain, else of the first of its hosts (in order of preference) that has one.
  func budget(for group: String, _ route: Route) -> DestinationBudget? {
    guard !rules.isEmpty else { return nil }
    if let found = domains.value(for: group) { return found }
    guard !hosts.isEmpty else { return nil }
    for host in route.hosts {
      if let found = hosts.value(for: host.name) { return found }
    }
    return nil
  }
}
