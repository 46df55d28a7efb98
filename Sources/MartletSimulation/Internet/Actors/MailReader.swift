import MailModel
import MailStore
import Outside

/// Whoever reads the mail of a server's accounts: notes what lies in the mailboxes, checks their numbers, and marks, moves and expunges as
/// people do.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class MailReader: @unchecked Sendable {
  private let server: String
  private let domain: String
  private unowned let world: World
  private var store: SQLiteStore?
  private var accounts: [(name: String, id: AccountID)] = []
  private var seen: [MailboxID: MailboxOrder.Seen] = [:]
  /// UIDs that we were about to take away: whether they went is not known.
  private var uncertain: [MailboxID: Set<UInt32>] = [:]
  private var order = MailboxOrder()
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

  /// The store told of a change.
  func changed(account: AccountID, modSeq: ModSeq) {
    if let broken = order.changed(account: account, modSeq: modSeq) { isBroken(broken) }
  }

  private func isBroken(_ what: String) { world.history.broken(MailboxOrder.name, "\(server): \(what)") }

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
    var known = seen[mailbox.id] ?? MailboxOrder.Seen(mailbox)
    for broken in known.look(at: mailbox) { isBroken(broken) }
    let uids = try await store.uids(in: mailbox.id)
    // All of them, so that one that took the number of another is seen.
    let all = try await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 1_000)
    guard self.store === store else { return }
    let (broken, new) = known.read(all, in: mailbox)
    for broken in broken { isBroken("\(user): \(broken)") }
    let present = Set(uids.flatMap { Array($0) }).union(new.map(\.uid.rawValue))
    for (uid, message) in known.entries.sorted(by: { $0.key < $1.key }) where !present.contains(uid) {
      if uncertain[mailbox.id]?.contains(uid) != true {
        world.history.broken(
          Conservation.name,
          "\(server): UID \(uid) of \(user)/\(mailbox.name) (\(QueueID(rawValue: UInt64(bitPattern: message)))) is gone")
      }
      known.entries[uid] = nil
    }
    if mailbox.name == "INBOX" { for entry in new { try await note(entry, of: user, in: store) } }
    uncertain[mailbox.id] = nil
    seen[mailbox.id] = known
  }

  private func note(_ entry: MailboxEntry, of user: String, in store: SQLiteStore) async throws(StoreError) {
    let bytes = try await store.read(entry.body, range: 0..<1_000_000).readableBytesView
    let isReport = MessageScan.report(in: Array(bytes.prefix(4_096))) != nil
    // The header that a notification gives back stands behind what it says.
    let token = MessageScan.token(in: Array(bytes.prefix(isReport ? 65_536 : 4_096)))
    world.history.add(
      .init(
        server: server, user: user, message: UInt64(bitPattern: entry.body.rawValue), token: token, isReport: isReport,
        uid: entry.uid.rawValue))
    guard !isReport else { return }
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
      uncertain[mailbox.id, default: []].insert(chosen.rawValue)
      _ = try await store.move([chosen], from: mailbox.id, to: archive.id)
    default:
      uncertain[mailbox.id, default: []].insert(chosen.rawValue)
      _ = try await store.expunge([chosen], from: mailbox.id, force: true)
    }
  }

  private func clear(_ mailbox: Mailbox, in store: SQLiteStore) async throws(StoreError) {
    guard let uids = seen[mailbox.id]?.entries.keys.sorted(), !uids.isEmpty else { return }
    uncertain[mailbox.id, default: []].formUnion(uids)
    _ = try await store.expunge(uids.map(UID.init(rawValue:)), from: mailbox.id, force: true)
  }
}
