import MailModel
import Outside

@testable import MailStore

/// Everything one session can see of what is its own. What it saw after an acknowledgement must be there after a power cut.
struct CrashSnapshot: Equatable, Sendable {
  var mailboxes: [Mailbox] = []
  var entries: [MailboxID: [MailboxEntry]] = [:]
  var changes: [MailboxID: MailboxChanges] = [:]
  var queue: [QueuedMessage] = []
  var traces: [QueueID: [TraceEvent]] = [:]
  /// Its account, and the aliases that lead to it.
  var account: Account?
  var aliases: [Alias] = []

  /// Reads it through the store.
  static func take(_ store: SQLiteStore, account: AccountID, ids: [QueueID]) async throws(StoreError) -> Self {
    var snapshot = Self()
    snapshot.mailboxes = try await store.mailboxes(of: account).sorted { $0.id < $1.id }
    for mailbox in snapshot.mailboxes {
      snapshot.entries[mailbox.id] = try await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 1_000)
      snapshot.changes[mailbox.id] = try await store.changes(in: mailbox.id, since: ModSeq(rawValue: 0))
    }
    if !ids.isEmpty { snapshot.queue = try await store.queue(matching: QueueSelection(ids: ids), after: nil, limit: 1_000) }
    for index in snapshot.queue.indices {
      for entry in snapshot.queue[index].entries.indices where snapshot.queue[index].entries[entry].state == .claimed {
        // Leases end with the process.
        snapshot.queue[index].entries[entry].state = .waiting
      }
    }
    let directory = try await store.directory()
    snapshot.account = directory.accounts.first { $0.id == account }
    snapshot.aliases = directory.aliases.filter { $0.targets.first == snapshot.account?.address }
    for id in ids {
      // That a message went with its mailbox is told when maintenance comes to it, whoever looks meanwhile.
      snapshot.traces[id] = try await store.trace(of: id).filter { event in
        event.kind != .expunged || !event.detail.contains { $0.key == "reason" }
      }
    }
    return snapshot
  }

  /// Without the recipients whose removal or delay was recorded lazily and not yet made durable, and without their traces.
  func without(_ floating: Set<QueueRecipientID>, of messages: Set<QueueID>) -> Self {
    guard !floating.isEmpty else { return self }
    var copy = self
    for index in copy.queue.indices { copy.queue[index].entries.removeAll { floating.contains($0.id) } }
    copy.queue.removeAll { messages.contains($0.id) && $0.entries.isEmpty }
    for id in messages { copy.traces[id] = nil }
    return copy
  }

  /// All mailboxes' messages.
  var allEntries: [MailboxEntry] { mailboxes.flatMap { entries[$0.id] ?? [] } }

  /// What differs, for people.
  func differences(from other: Self) -> String {
    var lines: [String] = []
    for (mine, theirs) in zip(mailboxes, other.mailboxes) where mine != theirs {
      lines.append("mailbox \(mine) instead of \(theirs)")
    }
    if mailboxes.count != other.mailboxes.count { lines.append("\(mailboxes.count) mailboxes instead of \(other.mailboxes.count)") }
    for mailbox in mailboxes where entries[mailbox.id] != other.entries[mailbox.id] {
      let mine = entries[mailbox.id, default: []].map { "\($0.uid.rawValue)/\($0.modSeq.rawValue)" }
      let theirs = other.entries[mailbox.id, default: []].map { "\($0.uid.rawValue)/\($0.modSeq.rawValue)" }
      lines.append("\(mailbox.name): UIDs/MODSEQs \(mine) instead of \(theirs)")
    }
    for mailbox in mailboxes where changes[mailbox.id] != other.changes[mailbox.id] {
      lines.append(
        "\(mailbox.name): changes \(String(describing: changes[mailbox.id])) instead of \(String(describing: other.changes[mailbox.id]))"
      )
    }
    if queue != other.queue { lines.append("queue \(queue.map(\.summary)) instead of \(other.queue.map(\.summary))") }
    for (id, events) in traces.sorted(by: { $0.key < $1.key }) where events != other.traces[id] {
      lines.append("trace of \(id.rawValue): \(events.map(\.kind)) instead of \(other.traces[id]?.map(\.kind) ?? [])")
    }
    if account != other.account {
      lines.append("account \(String(describing: account)) instead of \(String(describing: other.account))")
    }
    if aliases != other.aliases { lines.append("aliases \(aliases) instead of \(other.aliases)") }
    return lines.joined(separator: "\n")
  }
}

extension QueuedMessage {
  fileprivate var summary: String {
    "\(id.rawValue): "
      + entries.map { "\($0.id.rawValue) \($0.state) \($0.attempts) \($0.nextAttempt.microseconds)" }.joined(separator: ", ")
  }
}
