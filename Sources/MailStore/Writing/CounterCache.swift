import Bytes
import MailModel

/// The counters of mailboxes as absolute values, written back once a group and dropped on rollback.
struct CounterCache {
  private var accounts: [AccountID: AccountState] = [:]
  private var mailboxes: [MailboxID: MailboxState] = [:]
  private var dirty: [MailboxState] = []
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// An account with its mailboxes. Confined to the writer.
  final class AccountState {
    let id: AccountID
    let domain: String
    let address: String
    var quota: Int64
    /// The highest modification sequence given in it.
    var modSeq: UInt64
    /// What its mailboxes hold.
    var octets: Int64 = 0
    var mailboxes: [String: MailboxState] = [:]

    init(id: AccountID, domain: String, address: String, quota: Int64, modSeq: UInt64) {
      self.id = id
      self.domain = domain
      self.address = address
      self.quota = quota
      self.modSeq = modSeq
    }
  }

  /// A mailbox's counters. Confined to the writer.
  final class MailboxState {
    let id: MailboxID
    let account: AccountID
    let uidValidity: UIDValidity
    var name: String
    var uidNext: UInt32 = 1
    var modSeq: UInt64 = 1
    var messages: Int64 = 0
    var unseen: Int64 = 0
    var deleted: Int64 = 0
    var size: Int64 = 0
    var isDirty = false

    init(id: MailboxID, account: AccountID, name: String, uidValidity: UIDValidity) {
      self.id = id
      self.account = account
      self.name = name
      self.uidValidity = uidValidity
    }
  }

  /// The account, read if it is not known; nil if there is none.
  mutating func account(_ id: AccountID, in database: Database) throws -> AccountState? {
    if let known = accounts[id] { return known }
    let read = try database.first("SELECT domain, local, quota, modseq FROM accounts WHERE id = ?", [.int(id.rawValue)]) { row in
      AccountState(
        id: id, domain: row.text(0), address: "\(row.text(1))@\(row.text(0))", quota: row.int(2),
        modSeq: UInt64(clamping: row.int(3)))
    }
    guard let account = read else { return nil }
    try database.each(
      """
      SELECT id, name, uidvalidity, uidnext, modseq, messages, unseen, deleted, size FROM mailboxes
      WHERE account = ? AND name IS NOT NULL ORDER BY id
      """, [.int(id.rawValue)]
    ) { row in
      add(MailboxCounters.mailbox(row, of: id), to: account)
      return true
    }
    for mailbox in account.mailboxes.values.sorted(by: { $0.id < $1.id }) {
      if !MailboxCounters.isSane(mailbox) {
        try MailboxCounters.recount(mailbox, in: database)
        changed(mailbox)
      }
      account.modSeq = max(account.modSeq, mailbox.modSeq)
      account.octets = account.octets.addedClamped(mailbox.size)
    }
    account.modSeq = min(account.modSeq, MailboxCounters.greatestModSeq)
    accounts[id] = account
    return account
  }

  /// The mailbox and its account; nil if there is none.
  mutating func mailbox(_ id: MailboxID, in database: Database) throws -> (AccountState, MailboxState)? {
    if let known = mailboxes[id], let account = accounts[known.account] { return (account, known) }
    let owner = try database.first("SELECT account FROM mailboxes WHERE id = ? AND name IS NOT NULL", [.int(id.rawValue)]) {
      $0.int(0)
    }
    guard let owner, let account = try account(AccountID(rawValue: owner), in: database), let mailbox = mailboxes[id] else {
      return nil
    }
    return (account, mailbox)
  }

  /// Takes in a mailbox that was just made.
  mutating func add(_ mailbox: MailboxState, to account: AccountState) {
    account.mailboxes[mailbox.name] = mailbox
    mailboxes[mailbox.id] = mailbox
  }

  /// The mailbox is gone from the account.
  mutating func remove(_ mailbox: MailboxState, from account: AccountState) {
    account.mailboxes[mailbox.name] = nil
    mailboxes[mailbox.id] = nil
    mailbox.isDirty = false
  }

  /// The account is read anew when it is next needed. Its changes must have been flushed.
  mutating func forget(_ id: AccountID) {
    guard let account = accounts.removeValue(forKey: id) else { return }
    for mailbox in account.mailboxes.values { mailboxes[mailbox.id] = nil }
  }

  /// The mailbox's counters were changed.
  mutating func changed(_ mailbox: MailboxState) {
    guard !mailbox.isDirty else { return }
    mailbox.isDirty = true
    dirty.append(mailbox)
  }

  /// Writes what changed.
  mutating func flush(to database: Database) throws {
    for mailbox in dirty where mailbox.isDirty {
      mailbox.isDirty = false
      try database.run(
        "UPDATE mailboxes SET uidnext = ?, modseq = ?, messages = ?, unseen = ?, deleted = ?, size = ? WHERE id = ?",
        .int(Int64(mailbox.uidNext)), .int(Int64(clamping: mailbox.modSeq)), .int(mailbox.messages), .int(mailbox.unseen),
        .int(mailbox.deleted), .int(mailbox.size), .int(mailbox.id.rawValue))
    }
    dirty.removeAll(keepingCapacity: true)
  }

  /// Forgets everything: the transaction was rolled back.
  mutating func drop() {
    accounts.removeAll()
    mailboxes.removeAll()
    dirty.removeAll()
  }

  /// Between groups: forgets everything if it grew beyond its bound.
  mutating func trim() {
    if accounts.count > limit { drop() }
  }
}
