import MailModel
import Outside

/// Reading mailboxes, a page at a time.
enum MailboxReading {
  static func mailboxes(of account: AccountID, in database: Database) throws -> [Mailbox] {
    let exists = try database.first("SELECT 1 FROM accounts WHERE id = ?", [.int(account.rawValue)]) { _ in true } ?? false
    guard exists else { throw StoreError.notFound("account \(account.rawValue)") }
    return try database.all(
      """
      SELECT id, account, name, uidvalidity, uidnext, modseq, messages, unseen, deleted, size, subscribed, special_use FROM mailboxes
      WHERE account = ? AND name IS NOT NULL ORDER BY name
      """, [.int(account.rawValue)]
    ) { mailbox($0) }
  }

  static func mailbox(_ name: String, of account: AccountID, in database: Database) throws -> Mailbox {
    let found = try database.first(
      """
      SELECT id, account, name, uidvalidity, uidnext, modseq, messages, unseen, deleted, size, subscribed, special_use FROM mailboxes
      WHERE account = ? AND name = ?
      """, [.int(account.rawValue), .text(name)]
    ) { mailbox($0) }
    guard let found else { throw StoreError.notFound("mailbox \(name)") }
    return found
  }

  private static func mailbox(_ row: Row) -> Mailbox {
    Mailbox(
      id: MailboxID(rawValue: row.int(0)), account: AccountID(rawValue: row.int(1)), name: row.text(2),
      uidValidity: UIDValidity(rawValue: UInt32(clamping: row.int(3))), uidNext: UID(rawValue: UInt32(clamping: row.int(4))),
      highestModSeq: ModSeq(rawValue: UInt64(clamping: row.int(5))), messages: Int(row.int(6)), unseen: Int(row.int(7)),
      deleted: Int(row.int(8)), size: row.int(9), isSubscribed: row.int(10) != 0, specialUse: row.optionalText(11))
  }

  /// That it is there. Where that can't be read it is taken for granted: its messages stand elsewhere.
  private static func check(_ mailbox: MailboxID, in database: Database) throws {
    let exists: Bool?
    do {
      exists = try database.first("SELECT 1 FROM mailboxes WHERE id = ? AND name IS NOT NULL", [.int(mailbox.rawValue)]) { _ in
        true
      }
    } catch let error as SQLiteError where error.isCorrupt {
      return
    }
    guard exists ?? false else { throw StoreError.notFound("mailbox \(mailbox.rawValue)") }
  }

  static func entries(in mailbox: MailboxID, from first: UID, limit: Int, in database: Database) throws -> [MailboxEntry] {
    try check(mailbox, in: database)
    do {
      return try database.all(
        """
        SELECT e.uid, e.modseq, e.flags, e.keywords, e.internal_date, e.saved_date, e.size, e.message, e.prefix, m.thread, m.summary
        FROM entries e JOIN messages m ON m.id = e.message WHERE e.mailbox = ? AND e.uid >= ? ORDER BY e.uid LIMIT ?
        """, [.int(mailbox.rawValue), .int(Int64(first.rawValue)), .int(Int64(max(limit, 0)))]
      ) { entry($0, in: mailbox, thread: $0.int(9), summary: SummaryRecord.unpacked($0.blob(10))) }
    } catch let error as SQLiteError where error.isCorrupt {
      return try entriesPastDamage(in: mailbox, from: first, limit: limit, in: database)
    }
  }

  /// One message that can't be read must not take those beside it along: it is listed without its summary (reading it tells of the
  /// damage), and what stands before a place in the mailbox that can't be read is given.
  private static func entriesPastDamage(
    in mailbox: MailboxID, from first: UID, limit: Int, in database: Database
  ) throws -> [MailboxEntry] {
    var found: [MailboxEntry] = []
    do {
      try database.each(
        """
        SELECT uid, modseq, flags, keywords, internal_date, saved_date, size, message, prefix FROM entries
        WHERE mailbox = ? AND uid >= ? ORDER BY uid LIMIT ?
        """, [.int(mailbox.rawValue), .int(Int64(first.rawValue)), .int(Int64(max(limit, 0)))]
      ) { row in
        found.append(entry(row, in: mailbox, thread: 0, summary: MessageSummary()))
        return true
      }
    } catch let error as SQLiteError where error.isCorrupt && !found.isEmpty {
      // The next call begins behind these, and says it.
    }
    return try found.compactMap { entry in
      var entry = entry
      do {
        let row = try database.first("SELECT thread, summary FROM messages WHERE id = ?", [.int(entry.body.rawValue)]) {
          ($0.int(0), SummaryRecord.unpacked($0.blob(1)))
        }
        guard let row else { return nil }
        (entry.threadID, entry.summary) = row
      } catch let error as SQLiteError where error.isCorrupt {
        // Stays without them.
      }
      return entry
    }
  }

  /// From uid, modseq, flags, keywords, internal_date, saved_date, size, message, prefix.
  private static func entry(_ row: Row, in mailbox: MailboxID, thread: Int64, summary: MessageSummary) -> MailboxEntry {
    MailboxEntry(
      mailbox: mailbox, uid: UID(rawValue: UInt32(clamping: row.int(0))), modSeq: ModSeq(rawValue: UInt64(clamping: row.int(1))),
      flags: Keywords.flags(system: row.int(2), keywords: row.optionalText(3)), internalDate: Timestamp(microseconds: row.int(4)),
      savedDate: Timestamp(microseconds: row.int(5)), size: max(Int(clamping: row.int(6)), 0), emailID: row.int(7),
      threadID: thread, body: BodyID(rawValue: row.int(7)), deliveryPrefix: row.blob(8), summary: summary)
  }

  /// UIDs from `first` on as closed ranges, after at most `limit` messages; the next UID to ask from, nil at the end.
  static func uids(
    in mailbox: MailboxID, from first: UInt32, limit: Int, in database: Database
  ) throws -> (ranges: [ClosedRange<UInt32>], next: UInt32?) {
    try check(mailbox, in: database)
    var ranges: [ClosedRange<UInt32>] = []
    var count = 0
    var last: UInt32 = 0
    try database.each(
      "SELECT uid FROM entries WHERE mailbox = ? AND uid >= ? ORDER BY uid LIMIT ?",
      [.int(mailbox.rawValue), .int(Int64(first)), .int(Int64(limit))]
    ) { row in
      let uid = UInt32(clamping: row.int(0))
      // A UID that does not rise is damage: what follows would come again and again.
      guard uid > last || count == 0, uid >= first else { return false }
      if let range = ranges.last, range.upperBound &+ 1 == uid {
        ranges[ranges.count - 1] = range.lowerBound...uid
      } else {
        ranges.append(uid...uid)
      }
      count += 1
      last = uid
      return true
    }
    return (ranges, count < limit || last == .max ? nil : last + 1)
  }

  static func holdings(after account: AccountID?, in database: Database) throws -> [Holding] {
    var found: [Holding] = []
    try database.each(
      """
      SELECT account, cast(total(messages) AS INTEGER), cast(total(size) AS INTEGER) FROM mailboxes WHERE name IS NOT NULL AND account > ?
      GROUP BY account ORDER BY account LIMIT 1000
      """, [.int(account?.rawValue ?? .min)]
    ) { row in
      found.append(Holding(account: AccountID(rawValue: row.int(0)), messages: Int(row.int(1)), octets: row.int(2)))
      return true
    }
    return found
  }

  static func usage(of account: AccountID, in database: Database) throws -> Usage {
    let own = try database.first("SELECT quota, domain FROM accounts WHERE id = ?", [.int(account.rawValue)]) {
      ($0.int(0), $0.text(1))
    }
    guard let (quota, domain) = own else { throw StoreError.notFound("account \(account.rawValue)") }
    let held =
      try database.first(
        "SELECT cast(total(messages) AS INTEGER), cast(total(size) AS INTEGER) FROM mailboxes WHERE account = ? AND name IS NOT NULL",
        [.int(account.rawValue)]
      ) { (Int($0.int(0)), $0.int(1)) } ?? (0, 0)
    let domainQuota = try database.first("SELECT quota FROM domains WHERE name = ?", [.text(domain)]) { $0.int(0) } ?? 0
    var domainOctets: Int64 = 0
    if domainQuota > 0 {
      domainOctets =
        try database.first(
          """
          SELECT cast(total(m.size) AS INTEGER) FROM accounts a JOIN mailboxes m ON m.account = a.id WHERE a.domain = ? AND m.name IS NOT NULL
          """, [.text(domain)]
        ) { $0.int(0) } ?? 0
    }
    return Usage(messages: held.0, octets: held.1, quota: quota, domainOctets: domainOctets, domainQuota: domainQuota)
  }
}
