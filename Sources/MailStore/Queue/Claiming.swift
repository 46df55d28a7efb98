import InternetMessage
import MailModel
import NIOCore
import Outside

/// Leases of due recipients.
extension Writer {
  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) throws -> [QueuedMessage] {
    for expired in leases.expired(at: now) {
      leases.end(expired.entry)
      try database.run(
        "UPDATE recipients SET state = 0 WHERE message = ? AND id = ? AND state = 2", .id(expired.message.rawValue),
        .int(expired.entry.rawValue))
    }
    let due = try database.all(
      """
      SELECT message, id, state, due, attempts, delay_notified, domain, local, destination, reroute, notify, original, last_reply
      FROM recipients WHERE state = 0 AND due <= ? ORDER BY due LIMIT ?
      """,
      [.int(now.microseconds), .int(Int64(min(max(limit, 0), limits.page)))]
    ) { RecipientRow.entry($0) }
    var messages: [QueuedMessage] = []
    var positions: [QueueID: Int] = [:]
    for var entry in due {
      try database.run(
        "UPDATE recipients SET state = 2 WHERE message = ? AND id = ?", .id(entry.message.rawValue), .int(entry.id.rawValue))
      leases.grant(entry.id, of: entry.message, until: leaseEnd)
      entry.state = .claimed
      if let position = positions[entry.message] {
        messages[position].entries.append(entry)
      } else if var message = try MessageRow.queued(entry.message, in: database) {
        message.entries = [entry]
        positions[entry.message] = messages.count
        messages.append(message)
      }
    }
    return messages
  }

  /// What is due too late for any retry is due sooner: see `MailStore.hasten`.
  func hasten(now: Timestamp, longest: Duration) throws -> Int {
    let step = max(longest.microseconds, 1)
    try database.run(
      """
      UPDATE recipients SET due = ?1 + (due - ?1) % ?2 WHERE (message, id) IN (
        SELECT message, id FROM recipients INDEXED BY recipients_due WHERE state = 0 AND due > ?1 + ?2 LIMIT ?3)
      """, .int(max(now.microseconds, 0)), .int(step), .int(Int64(limits.page)))
    let count = database.changes
    if count > 0 { touched() }
    return count
  }

  /// At open: no lease outlives the process; what was ordered for a leased recipient is done.
  func resetLeases() throws {
    try begin()
    let ordered = try database.all(
      "SELECT message, id FROM recipients WHERE state = 2 AND pending <> 0", []
    ) { ($0.int(0), $0.int(1)) }
    for (message, id) in ordered where try applyPending(message, id) { try dropMessageIfUnused(message) }
    try database.run("UPDATE recipients SET state = 0 WHERE state = 2")
    try commit()
    _ = takeChanges()
  }
}

/// How `recipients` rows are read: message, id, state, due, attempts, delay_notified, domain, local, destination, reroute, notify,
/// original, last_reply.
enum RecipientRow {
  static func entry(_ row: Row) -> QueueEntry {
    QueueEntry(
      id: QueueRecipientID(rawValue: row.int(1)), message: QueueID(rawValue: UInt64(bitPattern: row.int(0))),
      address: EmailAddress(localPart: row.text(7), domain: row.text(6)),
      notification: NotificationRequest(
        notify: .init(rawValue: UInt8(truncatingIfNeeded: row.int(10))), originalRecipient: row.optionalText(11)),
      destination: row.text(8), state: .init(rawValue: UInt8(truncatingIfNeeded: row.int(2))) ?? .waiting,
      attempts: UInt32(clamping: row.int(4)), nextAttempt: Timestamp(microseconds: row.int(3)),
      delayNotified: row.optionalInt(5).map { Timestamp(microseconds: $0) }, lastReply: row.text(12), reroute: row.optionalText(9))
  }
}

/// How `messages` rows are read for the queue.
enum MessageRow {
  static func queued(_ id: QueueID, in database: Database) throws -> QueuedMessage? {
    try database.first("SELECT received, size, envelope FROM messages WHERE id = ?", [.id(id.rawValue)]) { row in
      let (envelope, census) = EnvelopeRecord.unpacked(row.blob(2))
      return QueuedMessage(
        id: id, received: Timestamp(microseconds: row.int(0)), envelope: envelope, census: census,
        body: BodyID(rawValue: Int64(bitPattern: id.rawValue)), size: max(Int(clamping: row.int(1)), 0), entries: [])
    }
  }
}
