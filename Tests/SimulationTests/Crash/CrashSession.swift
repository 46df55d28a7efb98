import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside

@testable import MailStore

/// One client of the store: does what a seed chooses, one operation after another, and writes down what it was told.
///
/// Its account's mailboxes and its messages' queue entries are its own, so that each acknowledged state is known exactly; the shared
/// mailbox gets messages from all.
struct CrashSession {
  let number: Int
  let store: SQLiteStore
  let world: SimulatedStore
  let recorder: CrashRecorder
  let account: Account
  let shared: Mailbox
  let sharedAccount: AccountID
  let random: SeededRandom

  var ids: [QueueID] = []
  var state = CrashSnapshot()
  var sharedUIDs: [UID: BodyID] = [:]
  var floating: Set<QueueRecipientID> = []
  var floatingMessages: Set<QueueID> = []
  var serial: UInt64 = 0

  /// What an operation was told, before the new state is read.
  struct Told {
    var name: String
    /// Messages in mailboxes of its own with what they must hold.
    var stored: [(MailboxID, UID, [UInt8])] = []
    var sharedUID: UID?
    var queued: (QueuedMessage, [UInt8])?
    var id: QueueID?
    var isLazy = false
  }

  mutating func begin() async throws {
    state = try await CrashSnapshot.take(store, account: account.id, ids: ids)
    note("setup", start: 0, ack: world.disk.position)
  }

  /// One operation. In a world of faults it may be refused; then nothing of it may be seen.
  mutating func step() async throws {
    let start = world.disk.position
    let before = self
    let told: Told
    do {
      told = try await perform()
    } catch {
      return try await refused(error, before: before, start: start)
    }
    let ack = world.disk.position
    if let id = told.id { ids.append(id) }
    if !told.isLazy {
      floating = []
      floatingMessages = []
    }
    try await learn(told)
    note(told.name, start: start, ack: ack)
  }

  /// What the store shows of this session. After a failed write it may say `unavailable` for a while; then it must come back.
  private func look(_ ids: [QueueID]) async throws -> CrashSnapshot {
    var last: StoreError?
    for _ in 0..<50 {
      do {
        return try await CrashSnapshot.take(store, account: account.id, ids: ids)
      } catch {
        guard recorder.toleratesFailures, error == .full || error.isUnavailable else { throw error }
        last = error
        await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(1)))
      }
    }
    throw CrashFailure("session \(number): the store does not come back: \(String(describing: last))")
  }

  /// After a failure of the medium: nothing of the operation is there. What was lazy may have been written or not.
  private mutating func refused(_ error: StoreError, before: CrashSession, start: Int) async throws {
    guard recorder.toleratesFailures, error == .full || error.isUnavailable else { throw error }
    recorder.countRefusal()
    let floating = before.floating.union(self.floating)
    let messages = before.floatingMessages.union(floatingMessages)
    let now = try await look(before.ids)
    if now.without(floating, of: messages) != before.state.without(floating, of: messages) {
      throw CrashFailure("session \(number): refused with \(error), but something changed:\n\(now.differences(from: before.state))")
    }
    state = now
    self.floating = floating
    floatingMessages = messages
    self.ids = before.ids
    note("refused", start: start, ack: world.disk.position)
  }

  /// Reads the new state and checks that what was told is in it.
  private mutating func learn(_ told: Told) async throws {
    state = try await look(ids)
    for (mailbox, uid, bytes) in told.stored {
      guard let entry = state.entries[mailbox]?.first(where: { $0.uid == uid }) else {
        throw CrashFailure("session \(number): \(told.name): UID \(uid.rawValue) was told and is not there")
      }
      recorder.holds(entry.body, bytes)
    }
    if let (message, bytes) = told.queued { recorder.holds(message.body, bytes) }
    if let uid = told.sharedUID {
      // Just after `look`, the store is there.
      let entry = try await store.entries(in: shared.id, from: uid, limit: 1).first
      guard let entry, entry.uid == uid else { throw CrashFailure("session \(number): shared UID \(uid.rawValue) is not there") }
      sharedUIDs[uid] = entry.body
      if let bytes = told.stored.first?.2 ?? told.queued?.1 { recorder.holds(entry.body, bytes) }
    }
  }

  private func note(_ name: String, start: Int, ack: Int) {
    recorder.add(
      CrashStep(
        name: name, start: start, ack: ack, state: state, ids: ids, shared: sharedUIDs, floating: floating,
        messages: floatingMessages),
      session: number)
  }

  // MARK: Operations

  private mutating func perform() async throws(StoreError) -> Told {
    switch random.next(below: 100) {
    case 0..<22: return try await accept(size: 120 + random.next(below: 800), isLocal: true, isShared: false, recipients: 0)
    case 22..<36:
      return try await accept(
        size: 120 + random.next(below: 3_000), isLocal: true, isShared: true, recipients: random.next(below: 4))
    case 36..<50:
      return try await accept(
        size: 3_000 + random.next(below: 12_000), isLocal: random.chance(in: 2), isShared: true, recipients: 1)
    case 50..<58: return try await accept(size: 200, isLocal: false, isShared: false, recipients: 1 + random.next(below: 3))
    case 58..<66: return try await recordOutcome()
    case 66, 67: return try await claim()
    case 68..<73: return try await append()
    case 73..<82: return try await setFlags()
    case 82..<89: return try await transfer()
    case 89..<94: return try await expunge()
    case 94..<96: return try await changeMailbox()
    case 96: return random.chance(in: 2) ? try await act() : try await changeDirectory()
    case 97, 98:
      _ = try await store.compact { _ in }
      return Told(name: "compact")
    default:
      await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(61)))
      return Told(name: "wait")
    }
  }

  private mutating func body(_ size: UInt64) -> [UInt8] {
    serial += 1
    return CrashBody.bytes(Int(size), seed: UInt64(number) << 32 | serial)
  }

  private func spool(_ bytes: [UInt8]) async throws(StoreError) -> (any BodySpool, SpooledBody) {
    let spool = store.makeSpool()
    var rest = ByteBuffer(bytes: bytes)
    while let piece = rest.readSlice(length: min(1_400, rest.readableBytes)), piece.readableBytes > 0 {
      try await spool.append(piece)
    }
    return (spool, try await spool.finish())
  }

  private mutating func accept(size: UInt64, isLocal: Bool, isShared: Bool, recipients: UInt64) async throws(StoreError) -> Told {
    let bytes = body(size)
    store.transactionBegan()
    defer { store.transactionEnded() }
    let (spool, spooled) = try await spool(bytes)
    defer { spool.discard() }
    let now = world.executor.clock.now()
    let id = store.makeQueueID()
    var acceptance = Acceptance(
      id: id, received: now, envelope: Envelope(reversePath: EmailAddress(localPart: "s\(number)", domain: "remote.example")),
      prefix: Array("Received: \(id.rawValue)\r\n".utf8),
      summary: MessageSummary(messageID: "\(id.rawValue)@test", subject: "\(serial)"),
      census: BodyCensus(size: bytes.count), trace: [TraceEvent(time: now, kind: .received)])
    if isLocal {
      let name = random.pick(state.mailboxes)?.name ?? "INBOX"
      acceptance.deliveries.append(LocalDelivery(account: account.id, mailbox: name, recipient: account.address))
    }
    if isShared { acceptance.deliveries.append(LocalDelivery(account: sharedAccount, recipient: account.address)) }
    for index in 0..<recipients {
      acceptance.recipients.append(
        QueuedRecipient(
          address: EmailAddress(localPart: "r\(index)", domain: "next.example"), destination: "next.example", due: now,
          isHeld: random.chance(in: 5)))
    }
    let stored = acceptance.prefix + bytes
    // What was asked may be found after a crash even if its answer never came.
    recorder.holds(BodyID(rawValue: Int64(bitPattern: id.rawValue)), stored)
    let receipt = try await store.accept(acceptance, body: spooled, claiming: random.chance(in: 2))
    var told = Told(name: "accept \(size)", id: id)
    if isLocal, let place = receipt.deliveries.first { told.stored.append((place.mailbox, place.uid, stored)) }
    if isShared { told.sharedUID = receipt.deliveries.last?.uid }
    if let queued = receipt.queued {
      told.queued = (queued, stored)
      recorder.leases.withLock { $0.leased.formUnion(queued.entries.filter { $0.state == .claimed }.map(\.id)) }
    }
    return told
  }

  private mutating func recordOutcome() async throws(StoreError) -> Told {
    guard let message = random.pick(state.queue), let entry = random.pick(message.entries) else { return Told(name: "nothing") }
    let now = world.executor.clock.now()
    let outcome: Outcome =
      switch random.next(below: 4) {
      case 0, 1: .delivered(reply: "250 ok")
      case 2: .transient(reason: "451 later", next: now.advanced(by: .seconds(300)))
      default: .permanent(reason: "550 no")
      }
    let record = OutcomeRecord(
      entry: entry.id, message: message.id, outcome: outcome,
      trace: [TraceEvent(time: now, kind: .attempted, recipient: "\(entry.address)")])
    let isLazy = random.chance(in: 2)
    if isLazy {
      floating.insert(entry.id)
      floatingMessages.insert(message.id)
    }
    try await store.record([record], isLazy ? .lazily : .durably)
    return Told(name: "record", isLazy: isLazy)
  }

  /// What is due, of any session, is leased, for longer or shorter: whose it is sees nothing of it.
  private func claim() async throws(StoreError) -> Told {
    let mayClaim = recorder.leases.withLock { leases in
      guard leases.acting == 0 else { return false }
      leases.claiming += 1
      return true
    }
    guard mayClaim else { return Told(name: "nothing") }
    defer { recorder.leases.withLock { $0.claiming -= 1 } }
    let now = world.executor.clock.now()
    let claimed = try await store.claimDue(
      now: now, limit: 1 + Int(random.next(below: 5)), leaseEnd: now.advanced(by: .seconds(random.chance(in: 2) ? 30 : 3_600)))
    recorder.leases.withLock { $0.leased.formUnion(claimed.flatMap(\.entries).map(\.id)) }
    return Told(name: "claim")
  }

  private mutating func append() async throws(StoreError) -> Told {
    guard let mailbox = random.pick(state.mailboxes) else { return Told(name: "nothing") }
    let bytes = body(100 + random.next(below: 5_000))
    let (spool, spooled) = try await spool(bytes)
    defer { spool.discard() }
    let message = AppendedMessage(
      flags: Flags(.draft), internalDate: world.executor.clock.now(), summary: MessageSummary(subject: "\(serial)"))
    let uid = try await store.append(message, body: spooled, to: mailbox.id)
    return Told(name: "append", stored: [(mailbox.id, uid, bytes)])
  }

  private func some(_ count: UInt64) -> (MailboxID, [UID])? {
    guard let mailbox = random.pick(state.mailboxes.filter { state.entries[$0.id]?.isEmpty == false }) else { return nil }
    let uids = state.entries[mailbox.id, default: []].map(\.uid)
    return (mailbox.id, Array(uids.dropFirst(Int(random.next(below: UInt64(uids.count)))).prefix(Int(count))))
  }

  private func setFlags() async throws(StoreError) -> Told {
    guard let (mailbox, uids) = some(1 + random.next(below: 4)) else { return Told(name: "nothing") }
    let flags = random.chance(in: 3) ? Flags(.deleted) : random.chance(in: 2) ? Flags(.seen) : Flags([], keywords: ["$Junk"])
    let change: FlagChange = random.chance(in: 3) ? .remove(flags) : .add(flags)
    _ = try await store.setFlags(change, of: uids, in: mailbox, unchangedSince: nil)
    return Told(name: "flags")
  }

  private func transfer() async throws(StoreError) -> Told {
    guard let (mailbox, uids) = some(1 + random.next(below: 3)), let target = random.pick(state.mailboxes)?.id, target != mailbox
    else {
      return Told(name: "nothing")
    }
    let moves = random.chance(in: 2)
    let held = state.entries[mailbox, default: []]
    let result =
      moves ? try await store.move(uids, from: mailbox, to: target) : try await store.copy(uids, from: mailbox, to: target)
    var told = Told(name: moves ? "move" : "copy")
    for pair in result.pairs {
      guard let body = held.first(where: { $0.uid == pair.old })?.body, let bytes = recorder.bytes(of: body) else { continue }
      told.stored.append((target, pair.new, bytes))
    }
    return told
  }

  private func expunge() async throws(StoreError) -> Told {
    guard let (mailbox, uids) = some(1 + random.next(below: 5)) else { return Told(name: "nothing") }
    _ = try await store.expunge(uids, from: mailbox, force: !random.chance(in: 3))
    return Told(name: "expunge")
  }

  private mutating func changeMailbox() async throws(StoreError) -> Told {
    serial += 1
    if random.chance(in: 2) {
      _ = try await store.createMailbox("Folder \(serial)/Inner", of: account.id, specialUse: nil)
      return Told(name: "create")
    }
    guard let mailbox = random.pick(state.mailboxes.filter { $0.name != "INBOX" }) else { return Told(name: "nothing") }
    if random.chance(in: 2), state.mailboxes.count > 4 {
      try await store.deleteMailbox(mailbox.name, of: account.id)
      return Told(name: "delete")
    }
    try await store.renameMailbox(mailbox.name, to: "Renamed \(serial)", of: account.id)
    return Told(name: "rename")
  }

  /// An alias to its account comes or goes, or the account's quota changes.
  private mutating func changeDirectory() async throws(StoreError) -> Told {
    serial += 1
    switch random.next(below: 3) {
    case 0:
      let address = EmailAddress(localPart: "to\(number)-\(serial)", domain: "example.test")
      try await store.setAlias(Alias(address: address, targets: [account.address]))
      return Told(name: "alias")
    case 1:
      guard let alias = random.pick(state.aliases) else { return Told(name: "nothing") }
      try await store.removeAlias(alias.address)
      return Told(name: "no alias")
    default:
      var changed = account
      changed.quota = 1_000_000_000 &+ Int64(serial)
      try await store.updateAccount(changed)
      return Told(name: "quota")
    }
  }

  private func act() async throws(StoreError) -> Told {
    let queue = state.queue
    let free = recorder.leases.withLock { leases -> [QueuedMessage] in
      let free = leases.claiming == 0 ? queue.filter { leases.leased.isDisjoint(with: $0.entries.map(\.id)) } : []
      leases.acting += 1
      return free
    }
    defer { recorder.leases.withLock { $0.acting -= 1 } }
    guard let message = random.pick(free) else { return Told(name: "nothing") }
    _ = try await store.act(
      random.chance(in: 2) ? .hold : .remove, on: QueueSelection(ids: [message.id]), now: world.executor.clock.now(), after: nil)
    return Told(name: "act")
  }
}

extension StoreError {
  var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
}
