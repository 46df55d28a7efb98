import MailModel
import Outside

/// What changed in a mailbox since a modification sequence (RFC 7162, 3.2.5.1; RFC 8620, 5.2).
///
/// Every change has a sequence of its own, so a page ends between two changes. An entry's first sequence grows with its UID: what
/// is new stands at the end and is found by halving, what was changed later has an index, what is gone is in the expunge log.
enum ChangeReading {
  private struct Found {
    var modSeq: UInt64
    var uid: UInt32
    /// Nil: it is gone.
    var flags: Flags?
  }

  static func changes(in mailbox: MailboxID, since: ModSeq, page: Int, in database: Database) throws -> MailboxChanges {
    let state = try database.first(
      "SELECT modseq, uidnext, purged FROM mailboxes WHERE id = ? AND name IS NOT NULL", [.int(mailbox.rawValue)]
    ) { (modSeq: UInt64(clamping: $0.int(0)), uidNext: UInt32(clamping: $0.int(1)), purged: UInt64(clamping: $0.int(2))) }
    guard let state else { throw StoreError.notFound("mailbox \(mailbox.rawValue)") }
    let bound = since.rawValue
    // Who knows nothing yet needs no log.
    if bound > 0, bound < state.purged { throw StoreError.stale }
    var result = MailboxChanges(
      highestModSeq: ModSeq(rawValue: state.modSeq), uidNext: UID(rawValue: state.uidNext), changed: [], vanished: [],
      isPartial: false)
    guard bound < state.modSeq, let last = Int64(exactly: bound) else { return result }
    let limit = Int64(page) + 1
    var found = try new(in: mailbox, since: last, limit: limit, uidNext: state.uidNext, database)
    found += try changed(in: mailbox, since: last, limit: limit, database)
    found += try gone(in: mailbox, since: last, limit: limit, database)
    found.sort { $0.modSeq < $1.modSeq }
    if found.count > page {
      found.removeLast(found.count - page)
      result.isPartial = true
      result.highestModSeq = ModSeq(rawValue: found.last?.modSeq ?? bound)
    }
    for change in found {
      if let flags = change.flags {
        result.changed.append(.init(uid: UID(rawValue: change.uid), modSeq: ModSeq(rawValue: change.modSeq), flags: flags))
      } else {
        result.vanished.append(UID(rawValue: change.uid))
      }
    }
    result.changed.sort { $0.uid < $1.uid }
    result.vanished.sort()
    return result
  }

  /// Entries that came after `since` and were not changed after they came.
  private static func new(
    in mailbox: MailboxID, since: Int64, limit: Int64, uidNext: UInt32, _ database: Database
  ) throws -> [Found] {
    var low: UInt32 = 1
    var high = uidNext
    while low < high {
      let middle = low + (high - low) / 2
      let created = try database.first(
        "SELECT created FROM entries WHERE mailbox = ? AND uid >= ? ORDER BY uid LIMIT 1",
        [.int(mailbox.rawValue), .int(Int64(middle))]
      ) { $0.int(0) }
      if let created, created <= since { low = middle + 1 } else { high = middle }
    }
    return try database.all(
      """
      SELECT modseq, uid, flags, keywords FROM entries WHERE mailbox = ? AND uid >= ? AND modseq = created AND created > ?
      ORDER BY uid LIMIT ?
      """, [.int(mailbox.rawValue), .int(Int64(low)), .int(since), .int(limit)]
    ) { entry($0) }
  }

  private static func changed(in mailbox: MailboxID, since: Int64, limit: Int64, _ database: Database) throws -> [Found] {
    try database.all(
      """
      SELECT modseq, uid, flags, keywords FROM entries WHERE mailbox = ? AND modseq > created AND modseq > ? ORDER BY modseq LIMIT ?
      """, [.int(mailbox.rawValue), .int(since), .int(limit)]
    ) { entry($0) }
  }

  /// Entries that were there at `since`: who came and went since then is nobody's concern.
  private static func gone(in mailbox: MailboxID, since: Int64, limit: Int64, _ database: Database) throws -> [Found] {
    try database.all(
      "SELECT modseq, uid FROM closed WHERE mailbox = ? AND modseq > ?2 AND created <= ?2 ORDER BY modseq LIMIT ?3",
      [.int(mailbox.rawValue), .int(since), .int(limit)]
    ) { Found(modSeq: UInt64(clamping: $0.int(0)), uid: UInt32(clamping: $0.int(1)), flags: nil) }
  }

  private static func entry(_ row: Row) -> Found {
    Found(
      modSeq: UInt64(clamping: row.int(0)), uid: UInt32(clamping: row.int(1)),
      flags: Keywords.flags(system: row.int(2), keywords: row.optionalText(3)))
  }
}
