import CSQLite
import InternetMessage
import MailModel
import NIOCore
import Outside

/// What runs inside the transactions: the one connection that writes, and what it knows in memory.
///
/// `@unchecked Sendable`: made at open, then used only by jobs of the writer's `SerialWorker`, which run one at a time.
final class Writer: @unchecked Sendable {
  let database: Database
  let log: WriteAheadLog
  let limits: StoreLimits
  let clock: any Clock
  /// What ids of messages come from.
  let ids: QueueIDs
  var counters: CounterCache
  var leases = Leases()
  /// What is alive in the body segments, about.
  let totals: SegmentTotals
  /// Domains that have a quota, with what they hold; loaded when first needed.
  var domainUsage: [String: DomainUsage] = [:]
  /// What this group has changed, in order.
  var changes: [StoreChange] = []
  /// Counts what was changed in memory, so that a refusal can be told from a failure midway.
  private(set) var mutations = 0
  /// How far the look-ups have read the trace.
  let lookupPosition: LookupPosition
  /// Octets of trace, about: counted here, written down now and then, so that a crash makes it a little wrong.
  var traceOctets: Int64
  private var committedTraceOctets: Int64
  /// How far the rows of threads have been looked through.
  var threadsLookedAt = Int64.min
  /// Numbers given out; the blocks they come from are in `meta`.
  var numbers: Numbers

  /// - Parameter isReadable: false for a store whose numbers can't be read: nothing may be written by it.
  init(
    database: Database, limits: StoreLimits, clock: any Clock, ids: QueueIDs, totals: SegmentTotals,
    lookupPosition: LookupPosition, isReadable: Bool = true, isReadOnly: Bool = false
  ) throws {
    self.database = database
    log = try WriteAheadLog(database, isReadOnly: isReadOnly)
    self.limits = limits
    self.clock = clock
    self.ids = ids
    self.totals = totals
    self.lookupPosition = lookupPosition
    counters = CounterCache(limit: limits.cachedAccounts)
    let kept = isReadable ? try database.first("SELECT value FROM meta WHERE key = 'trace-octets'", []) { $0.int(0) } : nil
    traceOctets = max(kept ?? 0, 0)
    committedTraceOctets = traceOctets
    numbers = try Numbers(isReadable ? database : nil)
  }

  /// Something in memory was changed.
  func touched() { mutations &+= 1 }

  /// A mark to compare with: equal as long as nothing was written or changed.
  var mark: Mark { Mark(rows: sqlite3_total_changes64(database.handle), mutations: mutations) }

  struct Mark: Equatable {
    fileprivate var rows: Int64
    fileprivate var mutations: Int
  }

  func begin() throws { try database.run("BEGIN IMMEDIATE") }

  /// Writes what is only in memory and commits: returns after the sync. What memory holds is taken for written only then, since a
  /// COMMIT may still be refused (a full disk) and the transaction be rolled back.
  func commit() throws {
    try counters.flush(to: database)
    try numbers.flush(to: database)
    try database.run("COMMIT")
    numbers.committed()
    totals.commit()
    committedTraceOctets = traceOctets
    counters.trim()
  }

  /// Gives up the transaction and everything in memory that it may have changed.
  func rollback() {
    if database.isInTransaction { try? database.run("ROLLBACK") }
    counters.drop()
    domainUsage.removeAll()
    changes.removeAll()
    leases.rollback()
    numbers.rollback()
    traceOctets = committedTraceOctets
    totals.rollback()
  }

  /// After a commit: what observers are told.
  func takeChanges() -> [StoreChange] {
    defer { changes.removeAll(keepingCapacity: true) }
    leases.commit()
    return changes
  }

  func now() -> Timestamp { clock.now() }
}

/// Numbers that are never given twice, taken from blocks so that `meta` is written once in a million.
struct Numbers {
  private static let block: Int64 = 1_000_000

  enum Kind: String, CaseIterable {
    case recipient, trace, mailbox, account, uidValidity
  }

  private var next: [Kind: Int64] = [:]
  private var reserved: [Kind: Int64] = [:]
  private var dirty: [Kind] = []

  init(_ database: Database?) throws {
    for kind in Kind.allCases {
      let kept = try database?.first("SELECT value FROM meta WHERE key = ?", [.text(kind.rawValue)]) { $0.int(0) }
      let value = max(kept ?? 1, 1)
      next[kind] = value
      reserved[kind] = value
    }
  }

  mutating func take(_ kind: Kind) -> Int64 {
    let value = next[kind] ?? 1
    next[kind] = value &+ 1
    if value >= reserved[kind] ?? 0 {
      // Few mailboxes and accounts are made: their numbers stay small and are written each time.
      let step = kind == .recipient || kind == .trace ? Self.block : 1
      reserved[kind] = value &+ step
      dirty.append(kind)
    }
    return value
  }

  /// A UIDVALIDITY: the time in seconds, but always above the last (RFC 9051, 2.3.1.1).
  mutating func takeUIDValidity(now: Timestamp) -> UIDValidity {
    let wanted = max(next[.uidValidity] ?? 1, min(max(now.seconds, 1), Int64(UInt32.max)))
    next[.uidValidity] = wanted
    return UIDValidity(rawValue: UInt32(clamping: take(.uidValidity)))
  }

  mutating func flush(to database: Database) throws {
    for kind in dirty {
      try database.run(
        "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", .text(kind.rawValue), .int(reserved[kind] ?? 1))
    }
  }

  /// What was flushed is in the database.
  mutating func committed() { dirty.removeAll(keepingCapacity: true) }

  /// Blocks that were not written are written next time; numbers already given are not given again.
  mutating func rollback() {
    for kind in dirty { reserved[kind] = next[kind] }
    dirty.removeAll()
  }
}

/// Which recipients are being attempted, until when. In memory only: a lease ends with the process.
struct Leases {
  private var ends: [QueueRecipientID: (message: QueueID, end: Timestamp)] = [:]
  private var undo: [(QueueRecipientID, (message: QueueID, end: Timestamp)?)] = []
  /// No lease ends before this.
  private var earliest = Timestamp(microseconds: .max)

  var count: Int { ends.count }

  mutating func grant(_ entry: QueueRecipientID, of message: QueueID, until end: Timestamp) {
    undo.append((entry, ends.updateValue((message, end), forKey: entry)))
    if end < earliest { earliest = end }
  }

  mutating func end(_ entry: QueueRecipientID) {
    guard let old = ends.removeValue(forKey: entry) else { return }
    undo.append((entry, old))
  }

  /// Those that ended, in order of their numbers.
  mutating func expired(at now: Timestamp) -> [(message: QueueID, entry: QueueRecipientID)] {
    guard now >= earliest else { return [] }
    let over = ends.filter { $0.value.end <= now }.map { (message: $0.value.message, entry: $0.key) }.sorted { $0.entry < $1.entry }
    let gone = Set(over.map(\.entry))
    earliest = ends.lazy.filter { !gone.contains($0.key) }.map(\.value.end).min() ?? Timestamp(microseconds: .max)
    return over
  }

  mutating func commit() { undo.removeAll(keepingCapacity: true) }

  mutating func rollback() {
    for (entry, old) in undo.reversed() {
      ends[entry] = old
      if let old, old.end < earliest { earliest = old.end }
    }
    undo.removeAll(keepingCapacity: true)
  }
}

/// What the accounts of a domain hold together, and may.
struct DomainUsage {
  var octets: Int64
  var quota: Int64
}
