import MailModel

/// A mailbox's counters as they are read: what can't be right (a damaged row) is counted anew from its entries.
enum MailboxCounters {
  /// RFC 7162, 3.1: a modification sequence has 63 bits. The store gives none near the end, so what is beyond this is damage.
  static let greatestModSeq: UInt64 = 1 << 61

  /// From a row of id, name, uidvalidity, uidnext, modseq, messages, unseen, deleted, size.
  static func mailbox(_ row: Row, of account: AccountID) -> CounterCache.MailboxState {
    let mailbox = CounterCache.MailboxState(
      id: MailboxID(rawValue: row.int(0)), account: account, name: row.text(1),
      uidValidity: UIDValidity(rawValue: UInt32(clamping: row.int(2))))
    mailbox.uidNext = UInt32(exactly: row.int(3)) ?? 0
    mailbox.modSeq = UInt64(exactly: row.int(4)) ?? 0
    mailbox.messages = row.int(5)
    mailbox.unseen = row.int(6)
    mailbox.deleted = row.int(7)
    mailbox.size = row.int(8)
    return mailbox
  }

  /// Whether the counters can be those of a mailbox.
  static func isSane(_ mailbox: CounterCache.MailboxState) -> Bool {
    let messages = 0...Int64(mailbox.uidNext)
    return mailbox.uidNext > 0 && (1...greatestModSeq).contains(mailbox.modSeq) && messages.contains(mailbox.messages)
      && (0...mailbox.messages).contains(mailbox.unseen) && (0...mailbox.messages).contains(mailbox.deleted)
      && (0...greatestSize).contains(mailbox.size)
  }

  /// Counts the mailbox's entries. UIDNEXT and the sequence go above everything that its entries and its expunge log hold, and never
  /// back, as far as what is kept can be believed.
  static func recount(_ mailbox: CounterCache.MailboxState, in database: Database) throws {
    let id = SQLValue.int(mailbox.id.rawValue)
    let found =
      try database.first(
        """
        SELECT count(*), cast(total(flags & 1 = 0) AS INTEGER), cast(total(flags & 8 <> 0) AS INTEGER),
          cast(total(max(size, 0)) AS INTEGER), ifnull(max(uid), 0), ifnull(max(modseq), 0) FROM entries WHERE mailbox = ?
        """, [id]
      ) { row in (Int32(0)..<6).map { row.int($0) } } ?? []
    let closed =
      try database.first(
        "SELECT ifnull(max(uid), 0), ifnull(max(modseq), 0) FROM closed WHERE mailbox = ?", [id]
      ) { row in [row.int(0), row.int(1)] } ?? []
    guard found.count == 6, closed.count == 2 else { return }
    mailbox.messages = found[0]
    mailbox.unseen = found[1]
    mailbox.deleted = found[2]
    mailbox.size = min(found[3], greatestSize)
    let uid = UInt32(clamping: max(found[4], closed[0], 0))
    mailbox.uidNext = max(mailbox.uidNext, uid < .max ? uid + 1 : uid)
    let modSeq = [mailbox.modSeq, UInt64(clamping: found[5]), UInt64(clamping: closed[1])].filter { $0 <= greatestModSeq }
    mailbox.modSeq = max(modSeq.max() ?? 1, 1)
  }

  /// Octets of a mailbox beyond which its counter is damaged: 2 to the 56th.
  private static let greatestSize: Int64 = 1 << 56
}
