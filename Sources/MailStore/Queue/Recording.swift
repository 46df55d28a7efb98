import Bytes
import InternetMessage
import MailModel
import NIOCore
import Outside

/// What attempts came to.
extension Writer {
  /// What a postmaster ordered for a recipient while it was leased.
  enum Pending: Int64 {
    case none = 0
    case retry = 1
    case hold = 2
    case remove = 3
  }

  func record(_ outcomes: [OutcomeRecord]) throws {
    var index = 0
    while index < outcomes.count {
      // Outcomes of one message that stand together are one stage: one trace row.
      let message = outcomes[index].message
      var events: [TraceEvent] = []
      var removed = false
      while index < outcomes.count, outcomes[index].message == message {
        var outcome = outcomes[index]
        if try apply(&outcome) { removed = true }
        events += outcome.trace
        index += 1
      }
      if !events.isEmpty { try appendTrace(message, events) }
      if removed { try dropMessageIfUnused(Int64(bitPattern: message.rawValue)) }
    }
  }

  /// Whether the recipient is gone. One that is not there any more is left alone: what was recorded for it stays true.
  private func apply(_ record: inout OutcomeRecord) throws -> Bool {
    let message = Int64(bitPattern: record.message.rawValue)
    touched()
    leases.end(record.entry)
    switch record.outcome {
    case .delivered, .permanent:
      try database.run("DELETE FROM recipients WHERE message = ? AND id = ?", .int(message), .int(record.entry.rawValue))
      return true
    case .deliveredLocally(let delivery):
      guard try isQueued(message, record.entry), let stored = try MessageRow.queued(record.message, in: database) else {
        record.trace.removeAll { $0.kind == .delivered }
        return false
      }
      let place = try deliver(
        delivery, message: message, size: Int64(stored.size), reversePath: stored.envelope.reversePath, received: stored.received)
      // Only now it has a number.
      if let last = record.trace.lastIndex(where: { $0.kind == .delivered }) {
        record.trace[last].detail.append(.init("uid", String(place.uid.rawValue)))
      }
      try giveThread(message)
      try database.run("DELETE FROM recipients WHERE message = ? AND id = ?", .int(message), .int(record.entry.rawValue))
      return true
    case .transient(let reason, let next): return try postpone(record, reason, until: next, attempts: 1)
    case .skipped(let reason, let next): return try postpone(record, reason, until: next, attempts: 0)
    case .held(let reason):
      try database.run(
        """
        UPDATE recipients SET state = 1, attempts = attempts + 1, last_reply = ?,
          pending = CASE pending WHEN ? THEN pending ELSE 0 END WHERE message = ? AND id = ?
        """, .text(reason), .int(Pending.remove.rawValue), .int(message), .int(record.entry.rawValue))
      return try applyPending(message, record.entry.rawValue)
    case .returned(let next):
      try database.run(
        """
        UPDATE recipients SET state = 0, due = ?, delay_notified = coalesce(?, delay_notified)
        WHERE message = ? AND id = ?
        """, .int(next.microseconds), .optional(record.delayNotified?.microseconds), .int(message), .int(record.entry.rawValue))
      return try applyPending(message, record.entry.rawValue)
    }
  }

  private func postpone(_ record: OutcomeRecord, _ reason: String, until next: Timestamp, attempts: Int64) throws -> Bool {
    let message = Int64(bitPattern: record.message.rawValue)
    try database.run(
      """
      UPDATE recipients SET state = 0, attempts = attempts + ?, due = ?, last_reply = ?,
        delay_notified = coalesce(?, delay_notified) WHERE message = ? AND id = ?
      """, .int(attempts), .int(next.microseconds), .text(reason), .optional(record.delayNotified?.microseconds), .int(message),
      .int(record.entry.rawValue))
    return try applyPending(message, record.entry.rawValue)
  }

  private func isQueued(_ message: Int64, _ entry: QueueRecipientID) throws -> Bool {
    try database.first("SELECT 1 FROM recipients WHERE message = ? AND id = ?", [.int(message), .int(entry.rawValue)]) { _ in true }
      ?? false
  }

  /// A message that was only queued gets its thread when it first comes into a mailbox.
  private func giveThread(_ message: Int64) throws {
    let row = try database.first("SELECT thread, summary FROM messages WHERE id = ?", [.int(message)]) { ($0.int(0), $0.blob(1)) }
    guard let (thread, summary) = row, thread == 0 else { return }
    try database.run(
      "UPDATE messages SET thread = ? WHERE id = ?", .int(try threadID(of: SummaryRecord.unpacked(summary), message: message)),
      .int(message))
  }

  /// Does what was ordered while the recipient was leased, now that it no longer is; whether it is gone.
  func applyPending(_ message: Int64, _ entry: Int64) throws -> Bool {
    let row = try database.first("SELECT pending FROM recipients WHERE message = ? AND id = ?", [.int(message), .int(entry)]) {
      $0.int(0)
    }
    switch row.flatMap(Pending.init(rawValue:)) ?? .none {
    case .none: return false
    case .retry:
      try database.run(
        "UPDATE recipients SET state = 0, pending = 0, due = ? WHERE message = ? AND id = ?", .int(clock.schedule().microseconds),
        .int(message),
        .int(entry))
      changes.append(.queue)
      return false
    case .hold:
      try database.run("UPDATE recipients SET state = 1, pending = 0 WHERE message = ? AND id = ?", .int(message), .int(entry))
      return false
    case .remove:
      try database.run("DELETE FROM recipients WHERE message = ? AND id = ?", .int(message), .int(entry))
      return true
    }
  }

  /// Removes the message's row when nothing points to it.
  func dropMessageIfUnused(_ message: Int64) throws {
    try database.each(
      """
      DELETE FROM messages WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = ?1)
        AND NOT EXISTS (SELECT 1 FROM entries WHERE message = ?1) AND NOT EXISTS (SELECT 1 FROM closed WHERE message = ?1)
      RETURNING segment, extents
      """, [.int(message)]
    ) { row in
      if let segment = row.optionalInt(0).flatMap(UInt32.init(exactly:)),
        let location = SegmentLocation(segment: segment, encodedExtents: row.blob(1))
      {
        totals.change(segment, Int64(0).subtractedClamped(Int64(clamping: location.footprint)))
      }
      return true
    }
  }

  /// One stage of a message's life.
  ///
  /// - Parameter isNamed: it brings names that its message is to be found by; what follows an acceptance brings none.
  func appendTrace(_ id: QueueID, _ events: [TraceEvent], isNamed: Bool = false) throws {
    try insertTrace(Int64(bitPattern: id.rawValue), seq: numbers.take(.trace), TraceRecord.packed(events), isNamed: isNamed)
  }
}

extension Writer {
  func insertTrace(_ id: Int64, seq: Int64, _ events: [UInt8], isNamed: Bool) throws {
    traceOctets = traceOctets.addedClamped(Int64(events.count))
    if isNamed, lookupPosition.hasPassed(id) { try markLate(id, seq: seq) }
    try database.run("INSERT INTO trace(id, seq, events) VALUES(?, ?, ?)", .int(id), .int(seq), .blob(events))
  }

  /// The message's bytes are damaged: it is not read again.
  func quarantine(_ body: BodyID) throws {
    try database.run("UPDATE messages SET damaged = 1 WHERE id = ? AND damaged = 0", .int(body.rawValue))
    guard database.changes > 0 else { return }
    let event = TraceEvent(time: now(), kind: .quarantined, detail: [.init("reason", "the stored bytes fail their checksum")])
    try appendTrace(QueueID(rawValue: UInt64(bitPattern: body.rawValue)), [event])
  }
}
