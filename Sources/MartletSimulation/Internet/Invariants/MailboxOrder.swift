import MailModel

/// UIDs only grow and are never used again, and modification sequences only grow, over crashes and power cuts too (RFC 9051, 2.3.1.1;
/// RFC 7162, 3.1.1).
///
/// `MailReader` tells it of all it reads and of each change that the store tells of.
struct MailboxOrder {
  static let name = "UID and MODSEQ order"

  /// What was seen of a mailbox.
  struct Seen {
    var validity: UInt32
    var uidNext: UInt32 = 1
    var modSeq: UInt64 = 0
    /// UID to the queue id of its bytes.
    var entries: [UInt32: Int64] = [:]

    init(_ mailbox: Mailbox) { validity = mailbox.uidValidity.rawValue }

    /// Judges what a mailbox says of itself, and remembers it.
    mutating func look(at mailbox: Mailbox) -> [String] {
      var broken: [String] = []
      let name = "\(mailbox.name) of account \(mailbox.account.rawValue)"
      if validity != mailbox.uidValidity.rawValue { broken.append("\(name): UIDVALIDITY changed") }
      if mailbox.uidNext.rawValue < uidNext {
        broken.append("\(name): UIDNEXT fell from \(uidNext) to \(mailbox.uidNext.rawValue)")
      }
      if mailbox.highestModSeq.rawValue < modSeq {
        broken.append("\(name): HIGHESTMODSEQ fell from \(modSeq) to \(mailbox.highestModSeq.rawValue)")
      }
      modSeq = max(modSeq, mailbox.highestModSeq.rawValue)
      return broken
    }

    /// Judges all that lies in a mailbox, in the order it was read, and remembers what is new.
    mutating func read(_ all: [MailboxEntry], in mailbox: Mailbox) -> (broken: [String], new: [MailboxEntry]) {
      var broken: [String] = []
      var new: [MailboxEntry] = []
      var last: UInt32 = 0
      let next = uidNext
      for entry in all {
        let uid = entry.uid.rawValue
        if uid <= last { broken.append("UIDs of \(mailbox.name) are not in order") }
        last = uid
        if let message = entries[uid] {
          if message != entry.body.rawValue { broken.append("UID \(uid) of \(mailbox.name) has become another message") }
          continue
        }
        if uid < next { broken.append("UID \(uid) of \(mailbox.name) came after \(next)") }
        new.append(entry)
        entries[uid] = entry.body.rawValue
        uidNext = max(uidNext, uid + 1)
      }
      uidNext = max(uidNext, mailbox.uidNext.rawValue)
      return (broken, new)
    }
  }

  /// The highest modification sequence of each account that the store told of.
  private var modSeqs: [AccountID: UInt64] = [:]

  /// The store told of a change: sequences only grow, also over crashes, since what is told is durable. What is broken; nil: nothing.
  mutating func changed(account: AccountID, modSeq: ModSeq) -> String? {
    let last = modSeqs[account] ?? 0
    modSeqs[account] = modSeq.rawValue
    guard modSeq.rawValue <= last else { return nil }
    return "MODSEQ of account \(account.rawValue) went from \(last) to \(modSeq.rawValue)"
  }
}
