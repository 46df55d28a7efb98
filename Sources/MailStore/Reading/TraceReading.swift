import Bytes
import MailModel
import Outside

/// Reading what happened to a message.
enum TraceReading {
  /// Every event, in the order they were written.
  static func events(of id: QueueID, in database: Database) throws -> [TraceEvent] {
    let rows = try database.all("SELECT seq, events FROM trace WHERE id = ? ORDER BY seq", [.id(id.rawValue)]) {
      ($0.int(0), $0.blob(1))
    }
    return rows.flatMap { seq, events in seq == 0 ? AcceptanceRecord(events).events : TraceRecord.unpacked(events) }
  }

  /// What a row can be found by, in lower case.
  static func names(seq: Int64, events: [UInt8]) -> [String] {
    if seq == 0 { return AcceptanceRecord(events).names.map(\.asciiLowercased) }
    var names: [String] = []
    for event in TraceRecord.unpacked(events) {
      if let recipient = event.recipient { names.append(recipient.asciiLowercased) }
      for detail in event.detail where ["sender", "recipient", "message-id"].contains(detail.key) {
        names.append(detail.value.asciiLowercased)
      }
    }
    return names
  }
}

/// Looking for messages by address or Message-ID: the newest first, page by page through the trace.
enum TraceSearch {
  /// Rows one job looks at: 2,000.
  private static let rows = 2_000

  static func ids(naming text: String, limit: Int, in readers: ReaderPool) async throws(StoreError) -> [QueueID] {
    let wanted = text.asciiLowercased
    var found: [QueueID] = []
    var before: (id: Int64, seq: Int64)? = (Int64.max, Int64.max)
    while let from = before, found.count < limit {
      let page = try await readers.read { try self.page(naming: wanted, before: from, in: $0) }
      for id in page.ids where found.last != id && found.count < limit { found.append(id) }
      before = page.next
    }
    return found
  }

  private static func page(
    naming wanted: String, before: (id: Int64, seq: Int64), in database: Database
  ) throws -> (ids: [QueueID], next: (Int64, Int64)?) {
    var ids: [QueueID] = []
    var last: (Int64, Int64)?
    var count = 0
    try database.each(
      "SELECT id, seq, events FROM trace WHERE (id, seq) < (?, ?) ORDER BY id DESC, seq DESC LIMIT ?",
      [.int(before.id), .int(before.seq), .int(Int64(rows))]
    ) { row in
      let position = (row.int(0), row.int(1))
      // A key that does not fall is damage: what follows would come again and again.
      guard position < (last ?? (before.id, before.seq)) else { return false }
      last = position
      count += 1
      if TraceReading.names(seq: position.1, events: row.blob(2)).contains(wanted) {
        let id = QueueID(rawValue: UInt64(bitPattern: position.0))
        if ids.last != id { ids.append(id) }
      }
      return true
    }
    return (ids, count < rows ? nil : last)
  }
}
