import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// The store as one session sees it, watched: which message was stored, and over which connection it came. The seam at which faults between
/// a session and its store are planted.
struct ObservedStore: MailStore {
  private let store: SQLiteStore
  private let server: SimulatedServer
  private let life: Int
  private let wire: Wire

  init(_ store: SQLiteStore, server: SimulatedServer, life: Int, wire: Wire) {
    self.store = store
    self.server = server
    self.life = life
    self.wire = wire
  }

  private var plant: Plant? { server.isPlanted ? server.world.scenario.plant : nil }

  func accept(_ acceptance: Acceptance, body: SpooledBody, claiming: Bool) async throws(StoreError) -> Receipt {
    let history = server.world.history
    let id = "\(acceptance.id)"
    history.storing(id, at: server.name, life: life, on: wire)
    let receipt = try await store.accept(misled(acceptance), body: body, claiming: claiming)
    // Of a life that is over nothing is known any more.
    guard server.host.life == life else { return receipt }
    history.stored(id)
    if plant == .deniedAcceptance, server.plants(oneIn: 10) { throw .unavailable("planted") }
    return receipt
  }

  /// With a planted fault, a copy for somebody whom nobody named too.
  private func misled(_ acceptance: Acceptance) -> Acceptance {
    guard plant == .wrongMailbox, var delivery = acceptance.deliveries.first, server.plants(oneIn: 3),
      let other = server.account.values.sorted(by: { $0.rawValue < $1.rawValue }).last(where: { account in
        !acceptance.deliveries.contains { $0.account == account }
      })
    else { return acceptance }
    delivery.account = other
    var misled = acceptance
    misled.deliveries.append(delivery)
    return misled
  }

  func note(_ id: QueueID, _ events: [TraceEvent]) -> Bool {
    if plant == .untoldRefusal, events.contains(where: { $0.kind == .refused }), server.plants(oneIn: 3) { return true }
    return store.note(id, events)
  }

  // MARK: As it is

  func makeSpool() -> any BodySpool { store.makeSpool() }
  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer { try await store.read(body, range: range) }
  func transactionBegan() { store.transactionBegan() }
  func transactionEnded() { store.transactionEnded() }
  var refusal: StoreError? { store.refusal }
  func makeQueueID() -> QueueID { store.makeQueueID() }
  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    try await store.claimDue(now: now, limit: limit, leaseEnd: leaseEnd)
  }
  func nextDue() async throws(StoreError) -> Timestamp? { try await store.nextDue() }
  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    try await store.hasten(now: now, longest: longest)
  }
  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    try await store.record(outcomes, durability)
  }
  func queue(matching selection: QueueSelection, after: QueueID?, limit: Int) async throws(StoreError) -> [QueuedMessage] {
    try await store.queue(matching: selection, after: after, limit: limit)
  }
  func act(
    _ action: QueueAction, on selection: QueueSelection, now: Timestamp, after: QueuePlace?
  ) async throws(StoreError) -> ActedOn { try await store.act(action, on: selection, now: now, after: after) }
  func queueCounts() async throws(StoreError) -> QueueCounts { try await store.queueCounts() }
  func queueTallies(after: QueuePlace?) async throws(StoreError) -> QueueTallies { try await store.queueTallies(after: after) }
  func mailboxes(of account: AccountID) async throws(StoreError) -> [Mailbox] { try await store.mailboxes(of: account) }
  func mailbox(_ name: String, of account: AccountID) async throws(StoreError) -> Mailbox {
    try await store.mailbox(name, of: account)
  }
  func createMailbox(_ name: String, of account: AccountID, specialUse: String?) async throws(StoreError) -> Mailbox {
    try await store.createMailbox(name, of: account, specialUse: specialUse)
  }
  func renameMailbox(_ name: String, to newName: String, of account: AccountID) async throws(StoreError) {
    try await store.renameMailbox(name, to: newName, of: account)
  }
  func deleteMailbox(_ name: String, of account: AccountID) async throws(StoreError) {
    try await store.deleteMailbox(name, of: account)
  }
  func setSubscribed(_ subscribed: Bool, mailbox name: String, of account: AccountID) async throws(StoreError) {
    try await store.setSubscribed(subscribed, mailbox: name, of: account)
  }
  func append(_ message: AppendedMessage, body: SpooledBody, to mailbox: MailboxID) async throws(StoreError) -> UID {
    try await store.append(message, body: body, to: mailbox)
  }
  func entries(in mailbox: MailboxID, from first: UID, limit: Int) async throws(StoreError) -> [MailboxEntry] {
    try await store.entries(in: mailbox, from: first, limit: limit)
  }
  func uids(in mailbox: MailboxID) async throws(StoreError) -> [ClosedRange<UInt32>] { try await store.uids(in: mailbox) }
  func setFlags(
    _ change: FlagChange, of uids: [UID], in mailbox: MailboxID, unchangedSince: ModSeq?
  ) async throws(StoreError) -> FlagResult {
    try await store.setFlags(change, of: uids, in: mailbox, unchangedSince: unchangedSince)
  }
  func copy(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult {
    try await store.copy(uids, from: source, to: target)
  }
  func move(_ uids: [UID], from source: MailboxID, to target: MailboxID) async throws(StoreError) -> CopyResult {
    try await store.move(uids, from: source, to: target)
  }
  func expunge(_ uids: [UID]?, from mailbox: MailboxID, force: Bool) async throws(StoreError) -> [UID] {
    try await store.expunge(uids, from: mailbox, force: force)
  }
  func changes(in mailbox: MailboxID, since modSeq: ModSeq) async throws(StoreError) -> MailboxChanges {
    try await store.changes(in: mailbox, since: modSeq)
  }
  func observe(_ handler: @escaping @Sendable ([StoreChange]) -> Void) { store.observe(handler) }
  func directory() async throws(StoreError) -> DirectoryContents { try await store.directory() }
  func account(_ address: EmailAddress) async throws(StoreError) -> Account { try await store.account(address) }
  func addDomain(_ domain: Domain) async throws(StoreError) { try await store.addDomain(domain) }
  func updateDomain(_ domain: Domain) async throws(StoreError) { try await store.updateDomain(domain) }
  func removeDomain(_ name: String) async throws(StoreError) { try await store.removeDomain(name) }
  func addAccount(address: EmailAddress, passwordHash: String, quota: Int64, created: Timestamp) async throws(StoreError) -> Account
  {
    try await store.addAccount(address: address, passwordHash: passwordHash, quota: quota, created: created)
  }
  func updateAccount(_ account: Account) async throws(StoreError) { try await store.updateAccount(account) }
  func removeAccount(_ id: AccountID) async throws(StoreError) { try await store.removeAccount(id) }
  func setAlias(_ alias: Alias) async throws(StoreError) { try await store.setAlias(alias) }
  func removeAlias(_ address: EmailAddress) async throws(StoreError) { try await store.removeAlias(address) }
  func usage(of account: AccountID) async throws(StoreError) -> Usage { try await store.usage(of: account) }
  func holdings(after account: AccountID?) async throws(StoreError) -> [Holding] { try await store.holdings(after: account) }
  var droppedNotes: UInt64 { store.droppedNotes }
  func trace(of id: QueueID) async throws(StoreError) -> [TraceEvent] { try await store.trace(of: id) }
  func traces(naming text: String, since: Timestamp?, before: QueueID?, limit: Int) async throws(StoreError) -> [QueueID] {
    try await store.traces(naming: text, since: since, before: before, limit: limit)
  }
  func traces(since: Timestamp?, after: QueueID?, limit: Int) async throws(StoreError) -> [TracedMessage] {
    try await store.traces(since: since, after: after, limit: limit)
  }
  func rebuildLookups(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64 {
    try await store.rebuildLookups(progress: progress)
  }
  func verify(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> VerifyReport {
    try await store.verify(progress: progress)
  }
  func compact(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> Int64 {
    try await store.compact(progress: progress)
  }
  func close() async { await store.close() }
}
