import MailModel

/// A stretch of the trace as the look-ups take it: what its messages can be found by.
struct LookupPage {
  private(set) var entries: [LookupFile.Entry] = []
  /// Every row up to this id is in it.
  let end: Int64

  /// Rows of ids above `from`, up to `target`, at most `limit`: whole messages, unless one alone has more.
  init(after from: Int64, to target: Int64, limit: Int, in database: Database) throws {
    var current: (id: Int64, rows: [(seq: Int64, events: [UInt8])])?
    var complete = from
    var count = 0
    var found: [LookupFile.Entry] = []
    try database.each(
      "SELECT id, seq, events FROM trace WHERE id > ? AND id <= ? ORDER BY id, seq LIMIT ?",
      [.int(from), .int(target), .int(Int64(limit))]
    ) { row in
      count += 1
      let id = row.int(0)
      if let before = current, before.id != id {
        found += Self.entries(of: before.id, before.rows)
        complete = before.id
        current = nil
      }
      // An acceptance says it all; what follows it needs no look.
      if current == nil { current = (id, []) }
      if current?.rows.first?.seq != 0 { current?.rows.append((row.int(1), row.blob(2))) }
      return true
    }
    if let current, count < limit || complete == from {
      found += Self.entries(of: current.id, current.rows)
      complete = current.id
    }
    end = count < limit ? target : complete
    entries = found
  }

  private static func entries(of id: Int64, _ rows: [(seq: Int64, events: [UInt8])]) -> [LookupFile.Entry] {
    TraceReading.names(of: rows).map { LookupFile.Entry(hash: $0.hash, id: id) }
  }
}
