import Synchronization

/// How far the look-ups have read the trace, as the writer must know it.
///
/// The look-ups read in order of ids, which is nearly the order of commits. What is committed later with an id that they have passed is
/// marked by the writer in the same transaction, and read by its mark. A position is claimed first, then a job of the writer's worker is
/// waited for, then the trace is read: so every row was either committed before the reading, or its writer knew the claim.
final class LookupPosition: Sendable {
  private let claimed = Atomic<Int64>(.min)

  /// Whether a row of `id` would not be read any more.
  func hasPassed(_ id: Int64) -> Bool { id <= claimed.load(ordering: .sequentiallyConsistent) }

  /// From now on ids up to this one are taken for read. Never goes back.
  func claim(_ id: Int64) { _ = claimed.max(id, ordering: .sequentiallyConsistent) }
}

/// Marks of rows that came too late to be read in order: rare, since ids are made moments before they are committed.
enum LateRows {
  /// How many are read at a time.
  static let page = 1_000

  /// The ids that have marks, and the marks.
  static func all(in database: Database) throws -> [(mark: String, id: Int64)] {
    try database.all(
      "SELECT key, value FROM meta WHERE key >= 'trace-late-' AND key < 'trace-late.' ORDER BY key LIMIT ?", [.int(Int64(page))]
    ) { ($0.text(0), $0.int(1)) }
  }
}

extension Writer {
  /// A named row that the look-ups would not come by any more.
  func markLate(_ id: Int64, seq: Int64) throws {
    try database.run("INSERT OR IGNORE INTO meta(key, value) VALUES(?, ?)", .text("trace-late-\(id)-\(seq)"), .int(id))
  }

  /// They stand in the look-ups, durably.
  func forgetLate(_ marks: [String]) throws {
    for mark in marks { try database.run("DELETE FROM meta WHERE key = ?", .text(mark)) }
  }
}
