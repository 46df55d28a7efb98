import InternetMessage
import MailModel
import NIOCore
import Outside
import Synchronization

/// The embedded store: SQLite is the truth, large bodies stand in segments beside it.
///
/// What it promises
/// - What `MailStore` says: a call that changed something returns after the sync of the transaction that holds it; a refusal wrote nothing.
/// - WAL with `synchronous=FULL`, read back at every opening. One writer; whatever waits shares a transaction (`GroupCommit`). Bodies in
///   segments are synced before the transaction that points to them.
/// - A failed write or sync is final: its group is told `unavailable`, the log is cut back to the last good commit, every connection is
///   closed, the database opened anew and checked; until that succeeds everything that writes is `unavailable`.
/// - A full disk is told `full`; a reserve is then freed, so that deletions and queue removals go on, and kept again when there is room.
///
/// How it works
/// - Workers (from the `WorkerProvider`): `writer`, `checkpoint`, `reader N`, and the segments' own. Nothing here waits for another worker:
///   what must come after something is submitted by it. So all of them may be one thread, as in a simulation.
/// - Lazy records ride in the next group. Reads of the queue and of the trace send what is lazy first, so they see every call that has returned.
/// - Leases stand in memory only: they end with the process.
///
/// Limits: `StoreLimits`, `SegmentLimits`. Failures: `StoreError`.
public final class SQLiteStore: MailStore {
  /// Where and how the store is opened.
  public struct Options: Sendable {
    /// The database file, as the VFS names it.
    public var database: String
    /// The lock file; nil takes no lock (a simulation's store is its own).
    public var lock: String?
    /// The SQLite VFS; nil is the system's.
    public var vfs: String?
    /// The look-ups of the trace, as the VFS names the file; its last component is its name in the data folder. Nil: without look-ups
    /// addresses and Message-IDs are looked for in the trace itself.
    public var lookups: String?
    /// Nothing on disk is made or changed: no lock is taken (a server may start meanwhile), no upkeep done, what would write is `unavailable`;
    /// neither bodies nor look-ups are there. The store must be there, in the newest format.
    public var isReadOnly = false
    public var limits = StoreLimits()
    public var segments = SegmentLimits()
    /// Hears what a postmaster should know. Called on any worker; must only hand over.
    public var tell: @Sendable (StoreNotice) -> Void = { _ in }

    public init(database: String, lock: String?, vfs: String? = nil) {
      self.database = database
      self.lock = lock
      self.vfs = vfs
    }

    /// Everything in one data folder: `store.db`, `trace.db`, `lock`, `bodies/`, `ballast`.
    public init(folder: String) {
      self.init(database: "\(folder)/store.db", lock: "\(folder)/lock")
      lookups = "\(folder)/trace.db"
    }
  }

  /// What the store gets from outside.
  public struct Surroundings: Sendable {
    /// The data folder, for body segments and the reserve.
    public var disk: any Disk
    public var clock: any Clock
    public var random: any RandomSource
    public var workers: any WorkerProvider

    public init(disk: any Disk, clock: any Clock, random: any RandomSource, workers: any WorkerProvider) {
      self.disk = disk
      self.clock = clock
      self.random = random
      self.workers = workers
    }
  }

  let limits: StoreLimits
  let group: GroupCommit
  let committer: Committer
  let readers: ReaderPool
  let bodies: any BodyStorage
  let checkpointer: Checkpointer
  let health: Health
  let clock: any Clock
  let parts: StoreParts
  let notes = Mutex(Notes())

  /// Events that were noted: those that wait to be written, those that were too many.
  struct Notes {
    var waiting = 0
    var dropped: UInt64 = 0
    /// How many of those dropped the handler has heard of.
    var told: UInt64 = 0
    var handler: (@Sendable (UInt64) -> Void)?
  }
  let refusals: RefusalNotes

  init(_ parts: StoreParts) {
    self.parts = parts
    limits = parts.limits
    group = parts.group
    committer = parts.committer
    readers = parts.readers
    bodies = parts.bodies
    checkpointer = parts.checkpointer
    health = parts.health
    clock = parts.clock
    refusals = RefusalNotes(parts.limits)
  }

  /// Opens the store, made if it is not there. `unavailable` names the process that has it; `invalid` a newer or foreign format.
  public static func open(_ options: Options, in surroundings: Surroundings) async throws(StoreError) -> SQLiteStore {
    SQLiteStore(try await StoreParts.open(options, surroundings))
  }

  // MARK: Bodies

  public func makeSpool() -> any BodySpool { bodies.makeSpool() }

  public func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer {
    do {
      return try await readers.read { [limits, bodies] database in
        try BodyReading.read(body, range: range, limit: limits.readSize, bodies: bodies, in: database)
      }
    } catch .damaged(let body) {
      quarantine(body)
      throw .damaged(body)
    }
  }

  /// Marks the message so that it is not read again, and says so in its trace.
  private func quarantine(_ body: BodyID) {
    group.later { writer in try writer.quarantine(body) }
  }

  // MARK: Messages that arrive

  public func transactionBegan() { group.began() }
  public func transactionEnded() { group.ended() }

  public func accept(_ acceptance: Acceptance, body: SpooledBody, claiming: Bool) async throws(StoreError) -> Receipt {
    let isPassing = acceptance.deliveries.isEmpty
    return try await group.perform(.accept, body: body, isPassing: isPassing) { writer, place in
      guard let place else { throw StoreError.invalid("a message has a body") }
      return try writer.accept(acceptance, place, claiming: claiming)
    }
  }

  // MARK: Queue

  public func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    try await group.perform { writer, _ in try writer.claimDue(now: now, limit: limit, leaseEnd: leaseEnd) }
  }

  public func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    try await group.perform { writer, _ in try writer.hasten(now: now, longest: longest) }
  }

  public func nextDue() async throws(StoreError) -> Timestamp? {
    try await writeLazy()
    return try await readers.read { database in
      try database.first("SELECT min(due) FROM recipients WHERE state = 0", []) { row in
        row.optionalInt(0).map { Timestamp(microseconds: $0) }
      } ?? nil
    }
  }

  public func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    switch durability {
    case .lazily: group.later { writer in try writer.record(outcomes) }
    case .durably: try await group.perform { writer, _ in try writer.record(outcomes) }
    }
  }

  public func queue(matching selection: QueueSelection, after: QueueID?, limit: Int) async throws(StoreError) -> [QueuedMessage] {
    try await writeLazy()
    let wanted = min(max(limit, 0), limits.page)
    let filter = SelectionFilter(selection)
    var position = QueuePosition(after: after)
    var found: [QueuedMessage] = []
    var recipients = 0
    while found.count < wanted, recipients < limits.pageRecipients, !position.isAtEnd {
      let from = position
      let bounds = QueueReading.Bounds(messages: wanted - found.count, recipients: limits.pageRecipients - recipients)
      let (page, next) = try await readers.read { database in
        var position = from
        let page = try QueueReading.page(of: filter, after: &position, bounds, in: database)
        return (page, position)
      }
      recipients += page.reduce(0) { $0 + $1.entries.count }
      found += page
      position = next
    }
    return found
  }

  public func act(
    _ action: QueueAction, on selection: QueueSelection, now: Timestamp, after: QueuePlace?
  ) async throws(StoreError) -> ActedOn {
    let filter = SelectionFilter(selection)
    return try await group.perform { writer, _ in try writer.act(action, on: filter, now: now, after: after) }
  }

  public func queueCounts() async throws(StoreError) -> QueueCounts {
    try await writeLazy()
    return try await readers.read { database in try QueueReading.counts(in: database) }
  }

  public func queueTallies(after: QueuePlace?) async throws(StoreError) -> QueueTallies {
    if after == nil { try await writeLazy() }
    return try await readers.read { database in try QueueReading.tallies(after: after, in: database) }
  }

  /// What is lazy is written first, so that the read that follows sees it.
  func writeLazy() async throws(StoreError) {
    // A store that can't be written is read as it is.
    guard group.hasLazy, health.mayWrite else { return }
    try await group.perform { _, _ in }
  }

  // MARK: Mailboxes

  public func mailboxes(of account: AccountID) async throws(StoreError) -> [Mailbox] {
    try await readers.read { try MailboxReading.mailboxes(of: account, in: $0) }
  }

  public func mailbox(_ name: String, of account: AccountID) async throws(StoreError) -> Mailbox {
    let name = try MailboxName.checked(name, limits)
    return try await readers.read { try MailboxReading.mailbox(name, of: account, in: $0) }
  }

  public func createMailbox(_ name: String, of account: AccountID, specialUse: String?) async throws(StoreError) -> Mailbox {
    try await group.perform(.store) { writer, _ in try writer.createMailbox(name, of: account, specialUse: specialUse) }
  }

  public func renameMailbox(_ name: String, to newName: String, of account: AccountID) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.renameMailbox(name, to: newName, of: account) }
  }

  public func deleteMailbox(_ name: String, of account: AccountID) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.deleteMailbox(name, of: account) }
  }

  public func setSubscribed(_ subscribed: Bool, mailbox name: String, of account: AccountID) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.setSubscribed(subscribed, mailbox: name, of: account) }
  }

  public func append(_ message: AppendedMessage, body: SpooledBody, to mailbox: MailboxID) async throws(StoreError) -> UID {
    try await group.perform(.store, body: body) { writer, place in
      guard let place else { throw StoreError.invalid("a message has a body") }
      return try writer.append(message, place, to: mailbox)
    }
  }

  public func entries(in mailbox: MailboxID, from first: UID, limit: Int) async throws(StoreError) -> [MailboxEntry] {
    let limit = min(limit, limits.page)
    return try await readers.read { try MailboxReading.entries(in: mailbox, from: first, limit: limit, in: $0) }
  }

  public func uids(in mailbox: MailboxID) async throws(StoreError) -> [ClosedRange<UInt32>] {
    var all: [ClosedRange<UInt32>] = []
    var next: UInt32? = 1
    while let first = next {
      let page = try await readers.read { try MailboxReading.uids(in: mailbox, from: first, limit: 100_000, in: $0) }
      for range in page.ranges {
        if let last = all.last, last.upperBound &+ 1 == range.lowerBound {
          all[all.count - 1] = last.lowerBound...range.upperBound
        } else {
          all.append(range)
        }
      }
      next = page.next
    }
    return all
  }

  public func setFlags(
    _ change: FlagChange, of uids: [UID], in mailbox: MailboxID, unchangedSince: ModSeq?
  ) async throws(StoreError) -> FlagResult {
    try await group.perform { writer, _ in try writer.setFlags(change, of: uids, in: mailbox, unchangedSince: unchangedSince) }
  }

  public func copy(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult {
    try await group.perform(.store) { writer, _ in try writer.transfer(uids, from: source, to: target, isMove: false) }
  }

  public func move(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult {
    try await group.perform { writer, _ in try writer.transfer(uids, from: source, to: target, isMove: true) }
  }

  public func expunge(_ uids: [UID]?, from mailbox: MailboxID, force: Bool) async throws(StoreError) -> [UID] {
    try await group.perform { writer, _ in try writer.expunge(uids, from: mailbox, force: force) }
  }

  public func changes(in mailbox: MailboxID, since modSeq: ModSeq) async throws(StoreError) -> MailboxChanges {
    try await readers.read { [limits] in try ChangeReading.changes(in: mailbox, since: modSeq, page: limits.page, in: $0) }
  }

  public func observe(_ handler: @escaping @Sendable ([StoreChange]) -> Void) { committer.observe(handler) }

  // MARK: Directory

  public func directory() async throws(StoreError) -> DirectoryContents {
    try await readers.read { try DirectoryReading.contents(in: $0) }
  }

  public func account(_ address: EmailAddress) async throws(StoreError) -> Account {
    try await readers.read { try DirectoryReading.account(address, in: $0) }
  }

  public func addDomain(_ domain: Domain) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.addDomain(domain) }
  }

  public func updateDomain(_ domain: Domain) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.updateDomain(domain) }
  }

  public func removeDomain(_ name: String) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.removeDomain(name) }
  }

  public func addAccount(
    address: EmailAddress, passwordHash: String, quota: Int64, created: Timestamp
  ) async throws(StoreError) -> Account {
    try await group.perform { writer, _ in
      try writer.addAccount(address: address, passwordHash: passwordHash, quota: quota, created: created)
    }
  }

  public func updateAccount(_ account: Account) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.updateAccount(account) }
  }

  public func removeAccount(_ id: AccountID) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.removeAccount(id) }
  }

  public func setAlias(_ alias: Alias) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.setAlias(alias) }
  }

  public func removeAlias(_ address: EmailAddress) async throws(StoreError) {
    try await group.perform { writer, _ in try writer.removeAlias(address) }
  }

  public func usage(of account: AccountID) async throws(StoreError) -> Usage {
    try await readers.read { try MailboxReading.usage(of: account, in: $0) }
  }

  public func holdings(after account: AccountID?) async throws(StoreError) -> [Holding] {
    try await readers.read { try MailboxReading.holdings(after: account, in: $0) }
  }
}
