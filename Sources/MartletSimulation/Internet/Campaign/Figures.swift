/// What happened in one run, or in many: counts, for the report.
public struct Figures: Sendable, Codable {
  public var messages = 0
  public var accepted = 0
  public var delivered = 0
  public var takenElsewhere = 0
  public var notifications = 0
  public var bounced = 0
  public var discarded = 0
  public var outcomesRebuilt = 0
  public var refusals = 0
  public var refusalsTold = 0
  public var attempts = 0
  public var lives = 0
  public var queuedWhenCalm = 0
  public var faults: [String: Int] = [:]
  public var duplicates: [String: Int] = [:]
  public var mostJobs = 0
  public var mostBodies = 0
  public var mostConnections = 0

  public init() {}

  init(_ world: World, _ censuses: [Census]) {
    let history = world.history
    messages = history.sent.count
    accepted = history.sent.values.reduce(0) { $0 + $1.taken.count }
    delivered = history.copies.count
    takenElsewhere = history.taken.count
    notifications = history.made.count
    attempts = history.handed.reduce(0) { $0 + ($1.kind == .transient || $1.kind == .delivered || $1.kind == .permanent ? 1 : 0) }
    lives = history.lives.count
    queuedWhenCalm = censuses.first?.queued ?? 0
    for (kind, count) in world.counts.all { faults[kind.rawValue] = count }
    mostJobs = world.mostHeld.jobs
    mostBodies = world.mostHeld.bodies
    mostConnections = world.mostHeld.connections
    guard let last = censuses.last else { return }
    for message in last.messages {
      for end in message.outcomes.ends.values {
        switch end {
        case .bounced: bounced += 1
        case .discarded: discarded += 1
        default: break
        }
      }
    }
    refusals = history.refusals.count
    refusalsTold = TraceOfRefusals.check(history, last).told
    outcomesRebuilt = TraceComplete.check(history, last).rebuilt
    for (excuse, count) in Duplicates.check(history, last).allowed { duplicates[excuse.rawValue] = count }
  }

  /// Adds those of another run.
  public mutating func add(_ other: Figures) {
    messages += other.messages
    accepted += other.accepted
    delivered += other.delivered
    takenElsewhere += other.takenElsewhere
    notifications += other.notifications
    bounced += other.bounced
    discarded += other.discarded
    outcomesRebuilt += other.outcomesRebuilt
    refusals += other.refusals
    refusalsTold += other.refusalsTold
    attempts += other.attempts
    lives += other.lives
    queuedWhenCalm += other.queuedWhenCalm
    faults.merge(other.faults, uniquingKeysWith: +)
    duplicates.merge(other.duplicates, uniquingKeysWith: +)
    mostJobs = max(mostJobs, other.mostJobs)
    mostBodies = max(mostBodies, other.mostBodies)
    mostConnections = max(mostConnections, other.mostConnections)
  }

  /// Kinds of faults that never happened.
  public var missing: [String] { FaultKind.allCases.map(\.rawValue).filter { faults[$0] == nil } }
}
