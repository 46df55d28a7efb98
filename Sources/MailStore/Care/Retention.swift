import Bytes
import MailModel
import Outside

/// What ends by age or size.
extension Writer {
  /// Rows one step takes away.
  private static let step: Int64 = 1_000

  /// One step of clearing away; whether there is more to do. On a full disk expunged messages are given up at once.
  func retain(isShort: Bool) throws -> Bool {
    // A clock that jumped ahead makes nothing old (HOSTILE 59).
    let now = clock.schedule()
    let everything = max(now, self.now())
    let bodies = try giveUpExpunged(before: isShort ? everything : now.advanced(by: .seconds(-limits.undelete)))
    let log = try forgetExpunged(before: now.advanced(by: .seconds(-limits.expungeLog)))
    let dropped = try clearDropped()
    let threads = try pruneThreads()
    let trace =
      try forgetTrace(before: now.advanced(by: .seconds(-limits.traceAge)))
      || (traceOctets > limits.traceSize && forgetTrace(before: everything))
    try keepTraceOctets()
    return bodies || log || dropped || threads || trace
  }

  /// A round that changed nothing writes nothing: else each would be followed by another, and an idle disk never rest.
  private func keepTraceOctets() throws {
    try database.run(
      """
      INSERT INTO meta(key, value) VALUES('trace-octets', ?1) ON CONFLICT(key) DO UPDATE SET value = ?1 WHERE value <> ?1
      """, .int(traceOctets))
  }

  /// Expunged messages that can no longer be brought back.
  private func giveUpExpunged(before: Timestamp) throws -> Bool {
    let rows = try database.all(
      """
      SELECT mailbox, modseq, message FROM closed INDEXED BY closed_kept WHERE message IS NOT NULL AND closed_at <= ?
      ORDER BY closed_at LIMIT ?
      """, [.int(before.microseconds), .int(Self.step)]
    ) { ($0.int(0), $0.int(1), $0.int(2)) }
    for (mailbox, modSeq, message) in rows {
      try database.run(
        "UPDATE closed SET message = NULL, prefix = NULL WHERE mailbox = ? AND modseq = ?", .int(mailbox), .int(modSeq))
      try dropMessageIfUnused(message)
    }
    return rows.count == Int(Self.step)
  }

  /// The far end of the expunge log; `changes` from before it are stale.
  private func forgetExpunged(before: Timestamp) throws -> Bool {
    let rows = try database.all(
      "SELECT mailbox, modseq, message FROM closed WHERE closed_at <= ? ORDER BY closed_at LIMIT ?",
      [.int(before.microseconds), .int(Self.step)]
    ) { ($0.int(0), $0.int(1), $0.optionalInt(2)) }
    for (mailbox, modSeq, message) in rows {
      try database.run("UPDATE mailboxes SET purged = max(purged, ?) WHERE id = ?", .int(modSeq), .int(mailbox))
      try database.run("DELETE FROM closed WHERE mailbox = ? AND modseq = ?", .int(mailbox), .int(modSeq))
      if let message { try dropMessageIfUnused(message) }
    }
    return rows.count == Int(Self.step)
  }

  /// Messages of removed mailboxes.
  private func clearDropped() throws -> Bool {
    let mailbox = try database.first("SELECT id FROM mailboxes WHERE name IS NULL ORDER BY id LIMIT 1", []) { $0.int(0) }
    guard let mailbox else { return false }
    let rows = try database.all(
      "SELECT uid, message, prefix FROM entries WHERE mailbox = ? ORDER BY uid LIMIT ?", [.int(mailbox), .int(Self.step)]
    ) { ($0.int(0), $0.int(1), $0.blob(2)) }
    for (uid, message, prefix) in rows {
      try database.run("DELETE FROM entries WHERE mailbox = ? AND uid = ?", .int(mailbox), .int(uid))
      try trace(
        .expunged, of: message, prefix: prefix, [.init("uid", String(uid)), .init("reason", "its mailbox was removed")])
      try dropMessageIfUnused(message)
    }
    let closed = try database.all(
      "SELECT modseq, message FROM closed WHERE mailbox = ? ORDER BY modseq LIMIT ?", [.int(mailbox), .int(Self.step)]
    ) { ($0.int(0), $0.optionalInt(1)) }
    for (modSeq, message) in closed {
      try database.run("DELETE FROM closed WHERE mailbox = ? AND modseq = ?", .int(mailbox), .int(modSeq))
      if let message { try dropMessageIfUnused(message) }
    }
    if rows.isEmpty, closed.isEmpty { try database.run("DELETE FROM mailboxes WHERE id = ?", .int(mailbox)) }
    return true
  }

  /// The oldest trace, by the time in its id; never that of a message that is still queued.
  private func forgetTrace(before: Timestamp) throws -> Bool {
    let horizon = Int64(max(before.microseconds, 0) / 1_000) << 16
    let ids = try database.all(
      """
      SELECT id, sum(length(events)) FROM trace WHERE id < ?
        AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = trace.id) GROUP BY id ORDER BY id LIMIT ?
      """, [.int(horizon), .int(Self.step)]
    ) { ($0.int(0), $0.int(1)) }
    for (id, octets) in ids {
      try database.run("DELETE FROM trace WHERE id = ?", .int(id))
      traceOctets = max(traceOctets.subtractedClamped(octets), 0)
    }
    return ids.count == Int(Self.step)
  }
}
