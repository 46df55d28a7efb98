import Delivery
import MailModel
import MailStore
import Outside

/// `martlet queue stats`
public struct ShowQueueStats: AdminCommand {
  /// Destinations shown: at most.
  public var top: Int
  /// Shown anew each second.
  public var watches: Bool
  public var isJSON: Bool

  /// The most that are shown.
  public static let mostShown = 10_000
  /// Destinations told apart while the queue is walked through, which bounds the memory; what is beyond is counted together.
  static let mostDestinations = 20_000
  /// Destinations shown that have connections and nothing queued.
  static let mostBusy = 100

  public init(top: Int, watches: Bool, isJSON: Bool) {
    self.top = top
    self.watches = watches
    self.isJSON = isJSON
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    guard watches else {
      let stats = try await look(context)
      let rows = await rows(of: stats, context)
      if isJSON { return try await context.sayJSON(Answer(stats, rows)) }
      return try await context.say(text(of: stats, rows, context))
    }
    var stats = try await look(context)
    var looked = context.clock.monotonic()
    while true {
      let rows = await rows(of: stats, context)
      if isJSON {
        try await context.sayJSON(Answer(stats, rows))
      } else {
        try await context.output.page(text(of: stats, rows, context))
      }
      try await context.output.pause(.seconds(1))
      // A walk through a long queue takes its time, of which the server needs most itself; what is live is new each second.
      guard context.clock.monotonic().since(looked) >= stats.taken * 4 else { continue }
      stats = try await look(context)
      looked = context.clock.monotonic()
    }
  }

  /// The queue at one look.
  struct Stats {
    /// The most first.
    var tallies: [QueueTally] = []
    var destinations = 0
    var queued = 0
    /// What belongs to destinations that were not told apart.
    var others = 0
    var taken = Duration.zero
  }

  private func look(_ context: AdminContext) async throws(AdminFailure) -> Stats {
    let began = context.clock.monotonic()
    var found: [String: QueueTally] = [:]
    var stats = Stats()
    var place: QueuePlace?
    repeat {
      let from = place
      let slice = try await context.asking { () async throws(StoreError) in try await context.store.queueTallies(after: from) }
      for tally in slice.tallies {
        stats.queued += tally.queued
        if found[tally.destination] != nil {
          found[tally.destination]?.add(tally)
        } else if found.count < Self.mostDestinations {
          found[tally.destination] = tally
        } else {
          stats.others += tally.queued
        }
      }
      place = slice.next
    } while place != nil
    stats.destinations = found.count
    stats.tallies = Array(
      found.values.sorted { ($1.queued, $0.destination) < ($0.queued, $1.destination) }.prefix(max(top, 1)))
    stats.taken = context.clock.monotonic().since(began)
    return stats
  }

  // MARK: Rows

  /// A destination as scripts read it. What is live is null while no server runs, or where delivery knows nothing of it.
  struct Row: Encodable {
    var destination: String
    var queued: Int
    var waiting: Int
    var held: Int
    var active: Int
    var kept: Int
    /// When its oldest message was received; null if none is queued.
    var oldest: String?
    var nextAttempt: String?
    var lastReply: String
    var live: DestinationReport?
    /// `oldest`, to count with.
    var received: Timestamp?

    private enum CodingKeys: String, CodingKey {
      case destination, queued, waiting, held, active, kept, oldest, nextAttempt, lastReply, live
    }
  }

  struct Answer: Encodable {
    var queued: Int
    /// Destinations that were told apart, and recipients of all others.
    var destinations: Int
    var others: Int
    var rows: [Row]

    init(_ stats: Stats, _ rows: [Row]) {
      queued = stats.queued
      destinations = stats.destinations
      others = stats.others
      self.rows = rows
    }
  }

  private func rows(of stats: Stats, _ context: AdminContext) async -> [Row] {
    let reports = await context.live?.destinations(stats.tallies.map(\.destination), busy: min(Self.mostBusy, max(top, 1))) ?? []
    var byName = Dictionary(reports.map { ($0.destination, $0) }, uniquingKeysWith: { first, _ in first })
    var rows = stats.tallies.map { tally in
      Row(
        destination: tally.destination, queued: tally.queued, waiting: tally.waiting, held: tally.held, active: tally.claimed,
        kept: tally.kept, oldest: tally.oldest.time.iso8601, nextAttempt: tally.nextDue.map { context.clock.wall(of: $0).iso8601 },
        lastReply: tally.lastReply, live: byName.removeValue(forKey: tally.destination), received: tally.oldest.time)
    }
    for report in reports where byName[report.destination] != nil && rows.count < top {
      rows.append(
        Row(
          destination: report.destination, queued: 0, waiting: 0, held: 0, active: 0, kept: 0, oldest: nil, nextAttempt: nil,
          lastReply: report.lastProblem ?? "", live: report))
    }
    return rows
  }

  // MARK: For people

  private func text(of stats: Stats, _ rows: [Row], _ context: AdminContext) -> String {
    var lines = ["\(stats.queued) recipients queued for \(stats.destinations) destinations"]
    if !rows.isEmpty {
      var table = TextTable(
        ("DESTINATION", .left), ("QUEUED", .right), ("HELD", .right), ("KEPT", .right), ("OLDEST", .left), ("CONN", .right),
        ("RATE", .right), ("CIRCUIT", .left), ("LAST REPLY", .left))
      for row in rows { add(row, to: &table, context) }
      lines += table.takeLines()
    }
    let hidden = stats.destinations - stats.tallies.count
    if hidden > 0 { lines.append("and \(hidden) destinations more") }
    if stats.others > 0 { lines.append("and \(stats.others) recipients of destinations beyond the first \(Self.mostDestinations)") }
    return lines.joined(separator: "\n")
  }

  private func add(_ row: Row, to table: inout TextTable, _ context: AdminContext) {
    let live = row.live
    let oldest = row.received.map { context.relative($0) } ?? ""
    table.add(
      row.destination, "\(row.queued)", "\(row.held)", "\(row.kept)", oldest,
      live.map { "\($0.connections)/\($0.window)" } ?? "-", live.map { Self.rate($0.messagesPerMinute) } ?? "-",
      live.map(Self.circuit) ?? "-", String(row.lastReply.prefix(100)))
  }

  /// Messages a second, with one digit behind the point.
  private static func rate(_ perMinute: Int) -> String {
    let tenths = perMinute / 6
    return "\(tenths / 10).\(tenths % 10)/s"
  }

  private static func circuit(_ report: DestinationReport) -> String {
    switch report.circuit {
    case .closed: report.rule.map { "limited by \($0)" } ?? "ok"
    case .open: "open, \(report.retryIn ?? 0) s"
    case .probing: "probing"
    }
  }
}
