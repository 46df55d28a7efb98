import MailModel
import MailStore
import Outside

/// Whoever reads the mail of a server's accounts: notes what lies in the mailboxes, checks their numbers, and marks, moves and expunges as
/// people do.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class MailReader: @unchecked Sendable {
  /// What was seen of a mailbox.
  private struct Seen {
    var validity: UInt32
    var uidNext: UInt32 = 1
    var modSeq: UInt64 = 0
    /// UID to the queue id of its bytes.
    var entries: [UInt32: Int64] = [:]
    /// UIDs that we were about to take away: whether they went is not known.
    var uncertain: Set<UInt32> = []
  }

  private let server: String
  private let domain: String
  private unowned let world: World
  private var store: SQLiteStore?
  private var accounts: [(name: String, id: AccountID)] = []
  private var seen: [MailboxID: Seen] = [:]
  /// The highest modification sequence of each account that the store told of.
  private var modSeqs: [AccountID: UInt64] = [:]
  private var isReading = false

  init(server: String, domain: String, world: World) {
    self.server = server
    self.domain = domain
    self.world = world
  }

  func start(_ store: SQLiteStore, accounts: [String: AccountID]) {
    self.store = store
    self.accounts = accounts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  func stop() { store = nil }

  /// The store told of a change: sequences only grow, also over crashes, since what is told is durable.
  func changed(account: AccountID, mailbox: MailboxID, modSeq: ModSeq) {
    let last = modSeqs[account] ?? 0
    if modSeq.rawValue <= last {
      world.history.broken(
        MailboxOrder.name, "\(server): MODSEQ of account \(account.rawValue) went from \(last) to \(modSeq.rawValue)")
    }
    modSeqs[account] = modSeq.rawValue
  }

  /// Reads everything that is new; with `acts`, does something to some of it; with `clears`, takes away everything afterwards.
  func read(acts: Bool, clears: Bool = false) async {
    guard let store, !isReading else { return }
    isReading = true
    defer { isReading = false }
    for (name, account) in accounts {
      do throws(StoreError) {
        for mailbox in try await store.mailboxes(of: account) where ["INBOX", "Archive"].contains(mailbox.name) {
          try await look(at: mailbox, of: name, in: store)
          guard self.store === store else { return }
          if clears {
            try await clear(mailbox, in: store)
          } else if acts, world.random.chance(in: 2) {
            try await act(on: mailbox, of: account, in: store)
          }
        }
      } catch {
        // The store is full, fails or is gone: read another time.
        return
      }
      guard self.store === store else { return }
    }
  }

  private func look(at mailbox: Mailbox, of user: String, in store: SQLiteStore) async throws(StoreError) {
    var known = seen[mailbox.id] ?? Seen(validity: mailbox.uidValidity.rawValue)
    check(mailbox, known)
    let uids = try await store.uids(in: mailbox.id)
    let entries = try await newEntries(of: mailbox, after: known, in: store)
    guard self.store === store else { return }
    let present = Set(uids.flatMap { Array($0) }).union(entries.map(\.uid.rawValue))
    for (uid, message) in known.entries.sorted(by: { $0.key < $1.key }) where !present.contains(uid) {
      if known.uncertain.contains(uid) {
        known.entries[uid] = nil
      } else {
        world.history.broken(
          Conservation.name,
          "\(server): UID \(uid) of \(user)/\(mailbox.name) (\(QueueID(rawValue: UInt64(bitPattern: message)))) is gone")
        known.entries[uid] = nil
      }
    }
    known.uncertain = []
    for entry in entries {
      if entry.uid.rawValue < known.uidNext {
        world.history.broken(
          MailboxOrder.name, "\(server): UID \(entry.uid.rawValue) of \(user)/\(mailbox.name) came after \(known.uidNext)")
      }
      known.entries[entry.uid.rawValue] = entry.body.rawValue
      known.uidNext = max(known.uidNext, entry.uid.rawValue + 1)
      if mailbox.name == "INBOX" { try await note(entry, of: user, in: store) }
    }
    known.uidNext = max(known.uidNext, mailbox.uidNext.rawValue)
    known.modSeq = max(known.modSeq, mailbox.highestModSeq.rawValue)
    seen[mailbox.id] = known
  }

  private func check(_ mailbox: Mailbox, _ known: Seen) {
    let name = "\(server): \(mailbox.name) of account \(mailbox.account.rawValue)"
    if known.validity != mailbox.uidValidity.rawValue {
      world.history.broken(MailboxOrder.name, "\(name): UIDVALIDITY changed")
    }
    if mailbox.uidNext.rawValue < known.uidNext {
      world.history.broken(MailboxOrder.name, "\(name): UIDNEXT fell from \(known.uidNext) to \(mailbox.uidNext.rawValue)")
    }
    if mailbox.highestModSeq.rawValue < known.modSeq {
      world.history.broken(
        MailboxOrder.name, "\(name): HIGHESTMODSEQ fell from \(known.modSeq) to \(mailbox.highestModSeq.rawValue)")
    }
  }

  private func newEntries(of mailbox: Mailbox, after known: Seen, in store: SQLiteStore) async throws(StoreError) -> [MailboxEntry]
  {
    // All of them, so that one that took the number of another is seen.
    let all = try await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 1_000)
    var last: UInt32 = 0
    var new: [MailboxEntry] = []
    for entry in all {
      if entry.uid.rawValue <= last {
        world.history.broken(MailboxOrder.name, "\(server): UIDs of \(mailbox.name) are not in order")
      }
      last = entry.uid.rawValue
      guard let message = known.entries[entry.uid.rawValue] else {
        new.append(entry)
        continue
      }
      if message != entry.body.rawValue {
        world.history.broken(
          MailboxOrder.name, "\(server): UID \(entry.uid.rawValue) of \(mailbox.name) has become another message")
      }
    }
    return new
  }

  private func note(_ entry: MailboxEntry, of user: String, in store: SQLiteStore) async throws(StoreError) {
    let bytes = try await store.read(entry.body, range: 0..<1_000_000).readableBytesView
    let token = MessageScan.token(in: Array(bytes.prefix(4_096)))
    world.history.add(
      .init(server: server, user: user, message: UInt64(bitPattern: entry.body.rawValue), token: token, uid: entry.uid.rawValue))
    guard MessageScan.report(in: Array(bytes.prefix(4_096))) == nil else { return }
    guard let sent = world.history.sent[token] else {
      world.history.broken(Conservation.name, "\(server): a message that nobody sent lies in \(user)'s mailbox (\(token))")
      return
    }
    if Fingerprint.of(bytes.suffix(sent.octets)) != sent.fingerprint {
      world.history.broken(Conservation.name, "\(server): \(token) in \(user)'s mailbox is not what was sent")
    }
  }

  private func act(on mailbox: Mailbox, of account: AccountID, in store: SQLiteStore) async throws(StoreError) {
    let uids = (seen[mailbox.id]?.entries.keys.sorted() ?? []).map(UID.init(rawValue:))
    guard let chosen = world.random.pick(uids) else { return }
    switch world.random.next(below: 4) {
    case 0, 1: _ = try await store.setFlags(.add(Flags(.seen)), of: [chosen], in: mailbox.id, unchangedSince: nil)
    case 2 where mailbox.name == "INBOX":
      let archive = try await store.mailbox("Archive", of: account)
      seen[mailbox.id]?.uncertain.insert(chosen.rawValue)
      _ = try await store.move([chosen], from: mailbox.id, to: archive.id)
    default:
      seen[mailbox.id]?.uncertain.insert(chosen.rawValue)
      _ = try await store.expunge([chosen], from: mailbox.id, force: true)
    }
  }

  private func clear(_ mailbox: Mailbox, in store: SQLiteStore) async throws(StoreError) {
    guard let uids = seen[mailbox.id]?.entries.keys.sorted(), !uids.isEmpty else { return }
    seen[mailbox.id]?.uncertain.formUnion(uids)
    _ = try await store.expunge(uids.map(UID.init(rawValue:)), from: mailbox.id, force: true)
  }
}
