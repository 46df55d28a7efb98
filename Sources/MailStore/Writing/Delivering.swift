import Bytes
import InternetMessage
import MailModel
import NIOCore
import Outside

/// Into mailboxes: quota, numbers and rows.
extension Writer {
  /// What becomes an entry.
  struct NewEntry {
    var message: Int64
    var flags: Flags
    var internalDate: Timestamp
    var size: Int64
    var prefix: [UInt8]
  }

  func account(_ id: AccountID) throws -> CounterCache.AccountState {
    guard let account = try counters.account(id, in: database) else { throw StoreError.notFound("account \(id.rawValue)") }
    return account
  }

  func mailbox(_ id: MailboxID) throws -> (CounterCache.AccountState, CounterCache.MailboxState) {
    guard let found = try counters.mailbox(id, in: database) else { throw StoreError.notFound("mailbox \(id.rawValue)") }
    return found
  }

  /// Refuses what would put the account, or its domain, over its quota by more than `grace` octets.
  func checkQuota(_ account: CounterCache.AccountState, adding octets: Int64, grace: Int64 = 0) throws {
    func isOver(_ used: Int64, _ quota: Int64) -> Bool { quota > 0 && used.addedClamped(octets) > quota.addedClamped(grace) }
    guard !isOver(account.octets, account.quota) else { throw StoreError.overQuota(account.id) }
    let domain = try usage(ofDomain: account.domain)
    guard !isOver(domain.octets, domain.quota) else { throw StoreError.overQuota(account.id) }
  }

  /// The domain's use; counted over its mailboxes once, and only if it has a quota.
  func usage(ofDomain name: String) throws -> DomainUsage {
    if let known = domainUsage[name] { return known }
    var usage = DomainUsage(octets: 0, quota: 0)
    usage.quota = try database.first("SELECT quota FROM domains WHERE name = ?", [.text(name)]) { $0.int(0) } ?? 0
    if usage.quota > 0 {
      // What this group changed already is only in memory.
      try counters.flush(to: database)
      usage.octets =
        try database.first(
          """
          SELECT cast(total(m.size) AS INTEGER) FROM accounts a JOIN mailboxes m ON m.account = a.id
          WHERE a.domain = ? AND m.name IS NOT NULL
          """, [.text(name)]
        ) { $0.int(0) } ?? 0
    }
    domainUsage[name] = usage
    return usage
  }

  /// The account holds `octets` more (or less).
  func charge(_ account: CounterCache.AccountState, _ octets: Int64) {
    account.octets = account.octets.addedClamped(octets)
    if let usage = domainUsage[account.domain], usage.quota > 0 {
      domainUsage[account.domain]?.octets = usage.octets.addedClamped(octets)
    }
  }

  /// The next modification sequence of the account.
  func nextModSeq(_ account: CounterCache.AccountState) -> UInt64 {
    account.modSeq = account.modSeq.addedClamped(1)
    return account.modSeq
  }

  /// Puts a message into a mailbox; its UID. Quota has been checked.
  func insert(
    _ entry: NewEntry, into mailbox: CounterCache.MailboxState, of account: CounterCache.AccountState
  ) throws -> UID {
    guard mailbox.uidNext < UInt32.max else { throw StoreError.invalid("the mailbox has used up its UIDs") }
    touched()
    let uid = mailbox.uidNext
    let modSeq = nextModSeq(account)
    mailbox.uidNext += 1
    mailbox.modSeq = modSeq
    mailbox.messages = mailbox.messages.addedClamped(1)
    mailbox.size = mailbox.size.addedClamped(entry.size)
    if !entry.flags.system.contains(.seen) { mailbox.unseen = mailbox.unseen.addedClamped(1) }
    if entry.flags.system.contains(.deleted) { mailbox.deleted = mailbox.deleted.addedClamped(1) }
    charge(account, entry.size)
    counters.changed(mailbox)
    let sequence = SQLValue.int(Int64(clamping: modSeq))
    try database.run(
      "INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", .int(mailbox.id.rawValue), .int(Int64(uid)),
      .int(entry.message),
      sequence, sequence, .int(Int64(entry.flags.system.rawValue)), .keywords(entry.flags.keywords),
      .int(entry.internalDate.microseconds), .int(now().microseconds), .int(entry.size),
      entry.prefix.isEmpty ? .null : .blob(entry.prefix))
    note(mailbox, of: account)
    return UID(rawValue: uid)
  }

  /// Observers hear of the mailbox, once a group.
  func note(_ mailbox: CounterCache.MailboxState, of account: CounterCache.AccountState) {
    let change = StoreChange.mailbox(account: account.id, mailbox: mailbox.id, highestModSeq: ModSeq(rawValue: mailbox.modSeq))
    if case .mailbox(_, mailbox.id, _)? = changes.last { changes.removeLast() }
    changes.append(change)
  }

  /// One local delivery of a stored message: its mailbox is made if it is not there.
  func deliver(
    _ delivery: LocalDelivery, message: Int64, size: Int64, reversePath: EmailAddress?, received: Timestamp
  ) throws -> (mailbox: MailboxID, uid: UID) {
    let account = try account(delivery.account)
    let flags = try checked(delivery.flags)
    let prefix = DeliveryPrefix.fields(reversePath: reversePath, recipient: delivery.recipient)
    let whole = size.addedClamped(Int64(prefix.count))
    let name = try MailboxName.checked(delivery.mailbox, limits)
    try checkQuota(account, adding: whole, grace: delivery.quotaGrace)
    let mailbox = try account.mailboxes[name] ?? makeMailbox(name, of: account, specialUse: nil)
    let entry = NewEntry(message: message, flags: flags, internalDate: received, size: whole, prefix: prefix)
    return (mailbox.id, try insert(entry, into: mailbox, of: account))
  }

  /// Flags within their limits, keywords sorted and without duplicates.
  func checked(_ flags: Flags) throws -> Flags {
    guard !flags.keywords.isEmpty else { return flags }
    return Flags(flags.system, keywords: try Keywords.checked(flags.keywords, limits))
  }
}

extension Acceptance {
  /// What a delivery of it counts against a quota: all that the mailbox will show of it.
  ///
  /// - Parameter body: octets of the message as it came.
  public func octets(of delivery: LocalDelivery, body: Int64) -> Int64 {
    let own = DeliveryPrefix.fields(reversePath: envelope.reversePath, recipient: delivery.recipient)
    return body.addedClamped(Int64(prefix.count)).addedClamped(Int64(own.count))
  }
}

/// The fields final delivery puts in front: `Return-Path` (RFC 5321, 4.4) and `Delivered-To`.
enum DeliveryPrefix {
  static func fields(reversePath: EmailAddress?, recipient: EmailAddress) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(96)
    bytes.append(contentsOf: "Return-Path: <".utf8)
    if let reversePath { bytes.append(contentsOf: reversePath.wire.utf8) }
    bytes.append(contentsOf: ">\r\nDelivered-To: ".utf8)
    bytes.append(contentsOf: recipient.wire.utf8)
    bytes.append(contentsOf: "\r\n".utf8)
    return bytes
  }
}

extension SQLValue {
  /// Keywords in one text, null if there are none.
  static func keywords(_ keywords: [String]) -> Self { keywords.isEmpty ? .null : .text(keywords.joined(separator: " ")) }
}
