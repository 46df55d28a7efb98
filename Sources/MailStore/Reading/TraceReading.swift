import Bytes
import MailModel
import Outside

/// Reading what happened to a message.
enum TraceReading {
  /// Every event, in the order they were written.
  static func events(of id: QueueID, in database: Database) throws -> [TraceEvent] {
    let rows = try database.all("SELECT seq, events FROM trace WHERE id = ? ORDER BY seq", [.id(id.rawValue)]) {
      (seq: $0.int(0), events: $0.blob(1))
    }
    return rows.flatMap(events)
  }

  private static func events(_ row: (seq: Int64, events: [UInt8])) -> [TraceEvent] {
    row.seq == 0 ? AcceptanceRecord(row.events).events : TraceRecord.unpacked(row.events)
  }

  /// Rows that a page of whole histories reads.
  private static let rows = 5_000

  /// The next messages behind `after`, whole.
  static func page(after: Int64, limit: Int, in database: Database) throws -> [TracedMessage] {
    var found: [TracedMessage] = []
    var count = 0
    var last = after
    try database.each("SELECT id, seq, events FROM trace WHERE id > ? ORDER BY id, seq", [.int(after)]) { row in
      let id = row.int(0)
      // A key that does not grow is damage: what follows would come again and again.
      guard id >= last else { return false }
      last = id
      let message = QueueID(rawValue: UInt64(bitPattern: id))
      let events = events((row.int(1), row.blob(2)))
      count += 1
      if found.last?.id == message {
        found[found.count - 1].events += events
      } else {
        guard found.count < limit, count <= rows else { return false }
        found.append(TracedMessage(id: message, events: events))
      }
      return true
    }
    return found
  }
}

/// Looking for messages by address or Message-ID, the newest first: in the look-ups, and in the end of the trace, which is not in them yet.
struct TraceSearch {
  var name: LookupName
  /// No id below it is wanted.
  var lowest: Int64
  /// Only ids below it are wanted.
  var before: Int64
  var limit: Int
  var readers: ReaderPool
  /// Without them the whole trace is read.
  var lookups: TraceLookups?
  /// Rows of trace that are read beside them.
  var tail: Int

  /// Rows one job looks at: 2,000.
  private static let rows = 2_000

  func ids() async throws(StoreError) -> [Int64] {
    guard let lookups else { return try await newest(above: nil) }
    // In this order nothing is missed, however far the look-ups come meanwhile.
    let read = lookups.read
    var found = try await newest(above: read)
    if read >= lowest, read > .min {
      found += try await late()
      if found.count < limit { found += try await older(lookups) }
    }
    return Array(Set(found).sorted(by: >).prefix(limit))
  }

  // MARK: The trace itself

  /// From the end of the trace backwards, to the id up to which it need not be read.
  private func newest(above read: Int64?) async throws(StoreError) -> [Int64] {
    var found: [Int64] = []
    var count = 0
    let end = max(read ?? .min, lowest == .min ? .min : lowest &- 1)
    // Nothing of the id itself: its rows are behind this place.
    var next: (id: Int64, seq: Int64)? = before == .max ? (.max, .max) : (before, .min)
    while let from = next, found.count < limit {
      if read != nil, count >= tail { throw lookups?.unavailability ?? .closed }
      let page = try await readers.read { try self.page(before: from, above: end, in: $0) }
      for id in page.ids where found.last != id && found.count < limit { found.append(id) }
      count += Self.rows
      next = page.next
    }
    return found
  }

  private func page(
    before: (id: Int64, seq: Int64), above end: Int64, in database: Database
  ) throws -> (ids: [Int64], next: (Int64, Int64)?) {
    var ids: [Int64] = []
    var last: (Int64, Int64)?
    var count = 0
    try database.each(
      "SELECT id, seq, events FROM trace WHERE (id, seq) < (?, ?) AND id > ? ORDER BY id DESC, seq DESC LIMIT ?",
      [.int(before.id), .int(before.seq), .int(end), .int(Int64(Self.rows))]
    ) { row in
      let position = (row.int(0), row.int(1))
      // A key that does not fall is damage: what follows would come again and again.
      guard position < (last ?? (before.id, before.seq)) else { return false }
      last = position
      count += 1
      if ids.last != position.0, TraceReading.names(of: [(position.1, row.blob(2))]).contains(name) { ids.append(position.0) }
      return true
    }
    return (ids, count < Self.rows ? nil : last)
  }

  // MARK: Look-ups

  /// Those that were committed out of order a moment ago.
  private func late() async throws(StoreError) -> [Int64] {
    try await readers.read { database in
      try LateRows.all(in: database).map(\.id).filter { id in
        try id >= lowest && id < before && TraceReading.names(of: id, in: database).contains(name)
      }
    }
  }

  /// What the look-ups lead to, as far as it is still there and meant.
  private func older(_ lookups: TraceLookups) async throws(StoreError) -> [Int64] {
    var found: [Int64] = []
    var next = before
    while found.count < limit {
      let ids = try await lookups.ids(of: name, from: lowest, before: next, limit: limit)
      found += try await readers.read { database in
        try ids.filter { try TraceReading.names(of: $0, in: database).contains(name) }
      }
      guard ids.count == limit, let last = ids.last else { break }
      next = last
    }
    return Array(found.prefix(limit))
  }
}
