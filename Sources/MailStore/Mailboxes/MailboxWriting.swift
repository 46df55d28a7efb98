import Bytes
import MailModel
import Outside

/// Making, renaming and removing mailboxes.
extension Writer {
  /// Mailboxes every account begins with, with their special uses (RFC 6154).
  static let defaultMailboxes: [(name: String, specialUse: String?)] = [
    (MailboxName.inbox, nil), ("Drafts", "Drafts"), ("Sent", "Sent"), ("Junk", "Junk"), ("Trash", "Trash"), ("Archive", "Archive"),
  ]

  /// Makes a mailbox and the levels above it. The name is checked and free.
  func makeMailbox(
    _ name: String, of account: CounterCache.AccountState, specialUse: String?, isSubscribed: Bool = false
  ) throws -> CounterCache.MailboxState {
    let parents = MailboxName.parents(of: name).filter { account.mailboxes[$0] == nil }
    guard account.mailboxes.count + parents.count < limits.mailboxes else {
      throw StoreError.invalid("an account has at most \(limits.mailboxes) mailboxes")
    }
    for parent in parents { _ = try insertMailbox(parent, of: account, specialUse: nil, isSubscribed: false) }
    return try insertMailbox(name, of: account, specialUse: specialUse, isSubscribed: isSubscribed)
  }

  private func insertMailbox(
    _ name: String, of account: CounterCache.AccountState, specialUse: String?, isSubscribed: Bool
  ) throws -> CounterCache.MailboxState {
    touched()
    let mailbox = CounterCache.MailboxState(
      id: MailboxID(rawValue: numbers.take(.mailbox)), account: account.id, name: name,
      uidValidity: numbers.takeUIDValidity(now: now()))
    mailbox.modSeq = nextModSeq(account)
    try database.run(
      "INSERT INTO mailboxes VALUES(?, ?, ?, 1, ?, 0, 0, 0, 0, 0, ?, ?, ?)", .int(mailbox.id.rawValue), .int(account.id.rawValue),
      .int(Int64(mailbox.uidValidity.rawValue)), .int(Int64(clamping: mailbox.modSeq)), .int(isSubscribed ? 1 : 0),
      .optional(specialUse),
      .text(name))
    counters.add(mailbox, to: account)
    changes.append(.mailboxList(account: account.id))
    return mailbox
  }

  func createMailbox(_ name: String, of id: AccountID, specialUse: String?) throws -> Mailbox {
    let name = try MailboxName.checked(name, limits)
    let account = try account(id)
    guard account.mailboxes[name] == nil else { throw StoreError.exists("mailbox \(name)") }
    if let specialUse {
      guard specialUse.utf8.count <= 64, !specialUse.isEmpty, specialUse.utf8.allSatisfy(\.isASCIIAlphanumeric) else {
        throw StoreError.invalid("a special use is 1 to 64 letters and digits")
      }
    }
    let made = try makeMailbox(name, of: account, specialUse: specialUse)
    return Mailbox(
      id: made.id, account: id, name: name, uidValidity: made.uidValidity, uidNext: UID(rawValue: made.uidNext),
      highestModSeq: ModSeq(rawValue: made.modSeq), messages: 0, unseen: 0, deleted: 0, size: 0, isSubscribed: false,
      specialUse: specialUse)
  }

  func renameMailbox(_ name: String, to newName: String, of id: AccountID) throws {
    let old = try MailboxName.checked(name, limits)
    let new = try MailboxName.checked(newName, limits)
    let account = try account(id)
    guard let mailbox = account.mailboxes[old] else { throw StoreError.notFound("mailbox \(old)") }
    guard account.mailboxes[new] == nil else { throw StoreError.exists("mailbox \(new)") }
    if old == MailboxName.inbox { return try renameInbox(mailbox, to: new, of: account) }
    guard !new.hasPrefix("\(old)/") else { throw StoreError.invalid("a mailbox can't be moved below itself") }
    let below = account.mailboxes.keys.filter { $0.hasPrefix("\(old)/") }.sorted()
    var moves = [(old, new)]
    for child in below {
      let moved = try MailboxName.checked("\(new)/\(child.dropFirst(old.count + 1))", limits)
      guard account.mailboxes[moved] == nil else { throw StoreError.exists("mailbox \(moved)") }
      moves.append((child, moved))
    }
    touched()
    try counters.flush(to: database)
    let parents = MailboxName.parents(of: new).filter { account.mailboxes[$0] == nil }
    for parent in parents { _ = try insertMailbox(parent, of: account, specialUse: nil, isSubscribed: false) }
    for (from, to) in moves {
      guard let moved = account.mailboxes[from] else { continue }
      try database.run("UPDATE mailboxes SET name = ? WHERE id = ?", .text(to), .int(moved.id.rawValue))
    }
    counters.forget(id)
    changes.append(.mailboxList(account: id))
  }

  /// The messages go, the mailbox stays, empty (RFC 9051, 6.3.6); mailboxes below it stay where they are.
  private func renameInbox(
    _ inbox: CounterCache.MailboxState, to name: String, of account: CounterCache.AccountState
  ) throws {
    let target = try makeMailbox(name, of: account, specialUse: nil)
    var first: Int64 = 1
    while true {
      let page = try database.all(
        "SELECT uid FROM entries WHERE mailbox = ? AND uid >= ? ORDER BY uid LIMIT 1000", [.int(inbox.id.rawValue), .int(first)]
      ) { UID(rawValue: UInt32(clamping: $0.int(0))) }
      guard let last = page.last, Int64(last.rawValue) >= first else { return }
      _ = try transfer(page, from: (account, inbox), to: (account, target), isMove: true)
      first = Int64(last.rawValue) + 1
    }
  }

  func deleteMailbox(_ name: String, of id: AccountID) throws {
    let name = try MailboxName.checked(name, limits)
    guard name != MailboxName.inbox else { throw StoreError.invalid("INBOX can't be removed") }
    let account = try account(id)
    guard let mailbox = account.mailboxes[name] else { throw StoreError.notFound("mailbox \(name)") }
    try drop(mailbox, of: account)
    changes.append(.mailboxList(account: id))
  }

  /// The mailbox is gone at once; its entries go in pages later (`purgeDropped`).
  func drop(_ mailbox: CounterCache.MailboxState, of account: CounterCache.AccountState) throws {
    touched()
    charge(account, Int64(0).subtractedClamped(mailbox.size))
    counters.remove(mailbox, from: account)
    // Sequences of the account go on above what the mailbox had.
    try database.run(
      "UPDATE accounts SET modseq = max(modseq, ?) WHERE id = ?", .int(Int64(clamping: account.modSeq)), .int(account.id.rawValue))
    try database.run("UPDATE mailboxes SET name = NULL, size = 0, messages = 0 WHERE id = ?", .int(mailbox.id.rawValue))
  }

  func setSubscribed(_ subscribed: Bool, mailbox name: String, of id: AccountID) throws {
    let name = try MailboxName.checked(name, limits)
    let account = try account(id)
    guard let mailbox = account.mailboxes[name] else { throw StoreError.notFound("mailbox \(name)") }
    try database.run("UPDATE mailboxes SET subscribed = ? WHERE id = ?", .int(subscribed ? 1 : 0), .int(mailbox.id.rawValue))
    changes.append(.mailboxList(account: id))
  }
}
