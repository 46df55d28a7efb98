import Bytes
import InternetMessage
import MailModel
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MailStore

@Suite("The store's rules")
struct RulesTests {
  private func accept(_ store: any MailStore, _ number: UInt64, to account: Account, size: Int = 100) async throws {
    _ = try await store.accept(Make.acceptance(number, to: [Make.delivery(account)]), body: Make.body(size), claiming: false)
  }

  @Test("what is ordered for a leased recipient happens when its attempt ends")
  func pending() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    var entries: [QueueEntry] = []
    for number in 1...4 {
      let receipt = try await store.accept(Make.acceptance(UInt64(number), queue: ["r@x.org"]), body: Make.body(9), claiming: true)
      entries += receipt.queued?.entries ?? []
    }
    func order(_ action: QueueAction, _ index: Int) async throws -> Int {
      try await store.act(action, on: QueueSelection(ids: [entries[index].message]), now: Timestamp(seconds: 5), after: nil).leased
        .count
    }
    #expect(try await order(.remove, 0) == 1)
    #expect(try await order(.hold, 1) == 1)
    #expect(try await order(.hold, 2) == 1)
    #expect(try await order(.release, 2) == 1)
    #expect(try await order(.reroute(nextHop: "smtp://192.0.2.1:25"), 3) == 1)
    #expect(try await store.queueCounts().claimed == 4)
    let outcomes = entries.map {
      OutcomeRecord(entry: $0.id, message: $0.message, outcome: .transient(reason: "451 later", next: Timestamp(seconds: 50)))
    }
    try await store.record(outcomes, .durably)
    let left = try await store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries)
    #expect(left.map(\.state) == [.held, .waiting, .waiting])
    #expect(left.map(\.lastReply) == Array(repeating: "451 later", count: 3))
    #expect(left.last?.reroute == "smtp://192.0.2.1:25")
    #expect(try await store.trace(of: entries[0].message).map(\.kind) == [.received, .queued, .removed])
    await store.close()
  }

  @Test("queue selections match sender, recipient and domain without case")
  func selections() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    _ = try await store.accept(Make.acceptance(1, queue: ["A@x.org", "b@y.org"]), body: Make.body(9), claiming: false)
    func count(_ selection: QueueSelection) async throws -> Int {
      try await store.queue(matching: selection, after: nil, limit: 10).flatMap(\.entries).count
    }
    #expect(try await count(QueueSelection(sender: "SENDER@example.net")) == 2)
    #expect(try await count(QueueSelection(sender: "<>")) == 0)
    #expect(try await count(QueueSelection(recipient: "a@X.org")) == 1)
    #expect(try await count(QueueSelection(domain: "y.ORG")) == 1)
    #expect(try await count(QueueSelection(ids: [Make.id(1)], domain: "z.org")) == 0)
    await store.close()
  }

  @Test("a local delivery out of the queue puts the same message into the mailbox")
  func queuedDelivery() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    let account = try await store.makeAccount("a@example.test")
    let receipt = try await store.accept(Make.acceptance(1, queue: ["a@example.test"]), body: Make.body(50), claiming: true)
    let entry = try #require(receipt.queued?.entries.first)
    let outcome = OutcomeRecord(entry: entry.id, message: entry.message, outcome: .deliveredLocally(Make.delivery(account)))
    try await store.record([outcome], .durably)
    let inbox = try await store.mailbox("INBOX", of: account.id)
    let stored = try #require(try await store.entries(in: inbox.id, from: UID(rawValue: 1), limit: 1).first)
    #expect(try await store.all(stored.body).count == 250)
    #expect(stored.threadID != 0)
    #expect(try await store.queueCounts().messages == 0)
    await store.close()
  }

  @Test("the quota of a domain holds for its accounts together")
  func domainQuota() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    let first = try await store.makeAccount("a@example.test")
    let second = try await store.makeAccount("b@example.test")
    try await store.updateDomain(Domain(name: "example.test", kind: .local, quota: 1_500))
    try await accept(store, 1, to: first, size: 600)
    await #expect(throws: StoreError.overQuota(second.id)) { try await accept(store, 2, to: second, size: 600) }
    let inbox = try await store.mailbox("INBOX", of: first.id)
    _ = try await store.expunge([UID(rawValue: 1)], from: inbox.id, force: true)
    try await accept(store, 2, to: second, size: 600)
    #expect(try await store.usage(of: first.id).domainOctets == store.usage(of: second.id).octets)
    await store.close()
  }

  @Test("renaming INBOX moves its messages and leaves it empty; others go with what is below them")
  func renames() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    let account = try await store.makeAccount("a@example.test")
    for number in 1...3 { try await accept(store, UInt64(number), to: account) }
    let before = try await store.mailbox("INBOX", of: account.id)
    try await store.renameMailbox("inbox", to: "Old/2026", of: account.id)
    let after = try await store.mailbox("INBOX", of: account.id)
    #expect(after.id == before.id && after.messages == 0 && after.uidNext == before.uidNext)
    #expect(try await store.mailbox("Old/2026", of: account.id).messages == 3)
    try await store.renameMailbox("Old", to: "New", of: account.id)
    #expect(try await store.mailbox("New/2026", of: account.id).messages == 3)
    await #expect(throws: StoreError.self) { try await store.renameMailbox("New", to: "New/Below", of: account.id) }
    await #expect(throws: StoreError.self) { try await store.deleteMailbox("INBOX", of: account.id) }
    for bad in ["", "a//b", "a/", "/a", "a*", "x\u{7}", String(repeating: "x", count: 256)] {
      await #expect(throws: StoreError.self) { try await store.createMailbox(bad, of: account.id, specialUse: nil) }
    }
    // e and a combining acute is the same name as é.
    _ = try await store.createMailbox("Caf\u{65}\u{301}", of: account.id, specialUse: nil)
    await #expect(throws: StoreError.exists("mailbox Caf\u{E9}")) {
      try await store.createMailbox("Caf\u{E9}", of: account.id, specialUse: nil)
    }
    await store.close()
  }

  @Test("retention gives up expunged messages, then the log, and older changes are stale")
  func retention() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    try await accept(store, 1, to: account)
    try await accept(store, 2, to: account)
    let inbox = try await store.mailbox("INBOX", of: account.id)
    _ = try await store.expunge([UID(rawValue: 1)], from: inbox.id, force: true)
    func retain() async throws { _ = try await store.group.perform { writer, _ in try writer.retain(isShort: false) } }
    try await retain()
    #expect(try await store.verify { _ in }.bodies == 2)
    place.clock.advance(seconds: 86_401)
    try await retain()
    #expect(try await store.verify { _ in }.bodies == 1)
    #expect(try await store.changes(in: inbox.id, since: inbox.highestModSeq).vanished == [UID(rawValue: 1)])
    place.clock.advance(seconds: 2_592_000)
    try await retain()
    await #expect(throws: StoreError.stale) { try await store.changes(in: inbox.id, since: inbox.highestModSeq) }
    #expect(try await store.changes(in: inbox.id, since: ModSeq(rawValue: 0)).changed.map(\.uid) == [UID(rawValue: 2)])
    #expect(try await store.trace(of: Make.id(1)).isEmpty)
    // A removed mailbox goes at once for its owner, and in steps for the disk.
    _ = try await store.createMailbox("Gone", of: account.id, specialUse: nil)
    let gone = try await store.mailbox("Gone", of: account.id)
    _ = try await store.move([UID(rawValue: 2)], from: inbox.id, to: gone.id)
    try await store.deleteMailbox("Gone", of: account.id)
    #expect(try await store.usage(of: account.id).octets == 0)
    place.clock.advance(seconds: 2_592_001)
    for _ in 0..<4 { try await retain() }
    let report = try await store.verify { _ in }
    #expect(report.bodies == 0 && report.problems == [])
    await store.close()
  }

  @Test("compaction keeps every byte and frees segments that are mostly dead")
  func compaction() async throws {
    let place = try StoreUnderTest { limits in
      limits.inlineBody = 100
      limits.undelete = -1
    }
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    let inbox = try await store.mailbox("INBOX", of: account.id)
    for number in 1...20 { try await accept(store, UInt64(number), to: account, size: 5_000 + number) }
    await store.close()
    let again = try await place.openSQLite()
    _ = try await again.expunge((1...18).map { UID(rawValue: $0) }, from: inbox.id, force: true)
    _ = try await again.group.perform { writer, _ in try writer.retain(isShort: true) }
    #expect(try await again.compact { _ in } > 50_000)
    let entries = try await again.entries(in: inbox.id, from: UID(rawValue: 1), limit: 100)
    #expect(entries.map(\.uid.rawValue) == [19, 20])
    for (entry, size) in zip(entries, [5_219, 5_220]) { #expect(try await again.all(entry.body).count == size) }
    #expect(try await again.verify { _ in }.problems == [])
    await again.close()
  }

  @Test("answers find the thread of what they answer, whichever message they name")
  func threads() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    let account = try await store.makeAccount("a@example.test")
    let summaries = [
      MessageSummary(messageID: "root@x"), MessageSummary(messageID: "second@x", references: ["root@x"]),
      MessageSummary(messageID: "third@x", references: ["second@x"]), MessageSummary(messageID: "other@x"),
    ]
    for (index, summary) in summaries.enumerated() {
      _ = try await store.accept(
        Make.acceptance(UInt64(index + 1), to: [Make.delivery(account)], summary: summary), body: Make.body(9), claiming: false)
    }
    let inbox = try await store.mailbox("INBOX", of: account.id)
    let threads = try await store.entries(in: inbox.id, from: UID(rawValue: 1), limit: 10).map(\.threadID)
    #expect(threads[0] == threads[1] && threads[1] == threads[2] && threads[3] != threads[0])
    #expect(try await store.traces(naming: "THIRD@x", limit: 5) == [Make.id(3)])
    #expect(try await store.traces(naming: "a@example.test", limit: 2) == [Make.id(4), Make.id(3)])
    await store.close()
  }

  @Test("domains, accounts and aliases refuse what would not make sense")
  func directory() async throws {
    let home: any StoreFactory = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.open()
    let account = try await store.makeAccount("A@example.test")
    #expect(account.address.localPart == "a")
    #expect(try await store.account(Make.address("A@Example.test")) == account)
    await #expect(throws: StoreError.exists("account a@example.test")) { try await store.makeAccount("a@example.test") }
    await #expect(throws: StoreError.self) { try await store.removeDomain("example.test") }
    let alias = Alias(address: Make.address("sales@example.test"), targets: [account.address, Make.address("x@elsewhere.test")])
    try await store.setAlias(alias)
    #expect(try await store.directory().aliases == [alias])
    await #expect(throws: StoreError.exists("alias sales@example.test")) { try await store.makeAccount("sales@example.test") }
    await #expect(throws: StoreError.self) { try await store.setAlias(Alias(address: alias.address, targets: [alias.address])) }
    await #expect(throws: StoreError.self) { try await store.setAlias(Alias(address: alias.address, targets: [])) }
    try await store.removeAlias(alias.address)
    try await store.removeAccount(account.id)
    try await store.removeDomain("example.test")
    #expect(try await store.directory().domains.isEmpty)
    await store.close()
  }

  @Test("an account's own alias forwards; with the account among the targets it ends as the account does")
  func ownAlias() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    var account = try await store.makeAccount("a@example.test")
    let away = Make.address("x@elsewhere.test")
    try await store.setAlias(Alias(address: account.address, targets: [account.address, away]))
    account.quota = 5
    try await store.updateAccount(account)
    await #expect(throws: StoreError.exists("account a@example.test")) { try await store.makeAccount("a@example.test") }
    try await store.removeAccount(account.id)
    #expect(try await store.directory().aliases.map(\.targets) == [[away]])
    let alone = try await store.makeAccount("b@example.test")
    try await store.setAlias(Alias(address: alone.address, targets: [alone.address]))
    try await store.removeAccount(alone.id)
    #expect(try await store.directory().aliases.map(\.address.localPart) == ["a"])
    await store.close()
  }

  @Test("what is ordered for recipients is counted where it changes something")
  func counted() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let receipt = try await store.accept(
      Make.acceptance(1, queue: ["a@x.org", "b@x.org", "c@y.org"], due: 1_000), body: Make.body(9), claiming: false)
    func act(_ action: QueueAction, _ selection: QueueSelection = QueueSelection()) async throws -> Int {
      try await store.act(action, on: selection, now: Timestamp(seconds: 5), after: nil).count
    }
    #expect(try await act(.release) == 0)
    #expect(try await act(.hold, QueueSelection(domain: "x.org")) == 2)
    #expect(try await act(.hold) == 1)
    #expect(try await act(.retry) == 0)
    #expect(try await act(.release, QueueSelection(recipient: "c@y.org")) == 1)
    #expect(try await act(.retry) == 1)
    #expect(try await act(.reroute(nextHop: "smtp://192.0.2.1:25")) == 3)
    let left = try await store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries)
    #expect(left.map(\.state) == [.held, .held, .waiting])
    #expect(try await act(.remove) == 3)
    #expect(receipt.queued?.entries.count == 3)
    await store.close()
  }

  @Test("a recipient that is rerouted is due at once, one under way as soon as its attempt failed")
  func rerouted() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    _ = try await store.accept(Make.acceptance(1, queue: ["a@x.org"], due: 90_000), body: Make.body(9), claiming: false)
    let leased = try await store.accept(Make.acceptance(2, queue: ["b@x.org"]), body: Make.body(9), claiming: true)
    let now = home.clock.now()
    let count = try await store.act(.reroute(nextHop: "smtp://192.0.2.1:25"), on: QueueSelection(), now: now, after: nil).count
    #expect(count == 2)
    let entry = try #require(leased.queued?.entries.first)
    let later = now.advanced(by: .seconds(3_600))
    try await store.record(
      [OutcomeRecord(entry: entry.id, message: entry.message, outcome: .transient(reason: "451 x", next: later))], .durably)
    let due = try await store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries).map(\.nextAttempt)
    #expect(due.count == 2 && due.allSatisfy { $0 < later })
    await store.close()
  }

  @Test("notes beyond the limit are dropped, counted and told of")
  func droppedNotes() async throws {
    let home = try StoreUnderTest { $0.waitingNotes = 2 }
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let told = Mutex<UInt64>(0)
    store.observeDroppedNotes { count in told.withLock { $0 += count } }
    let event = TraceEvent(time: Timestamp(seconds: 1), kind: .refused, recipient: "a@x.org")
    for _ in 0..<100 { store.note(store.makeQueueID(), [event]) }
    let found = try await store.traces(naming: "a@x.org", limit: 200)
    #expect(found.count >= 2)
    #expect(store.droppedNotes == UInt64(100 - found.count))
    await store.close()
    #expect(told.withLock { $0 } == store.droppedNotes)
  }

  @Test("observers hear of every commit in order, and a newer format is refused")
  func changesAndVersions() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    let inbox = try await store.mailbox("INBOX", of: account.id)
    let heard = Mutex<[UInt64]>([])
    store.observe { changes in
      for case .mailbox(account.id, inbox.id, let modSeq) in changes { heard.withLock { $0.append(modSeq.rawValue) } }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 1...30 { group.addTask { try await accept(store, UInt64(number), to: account) } }
      try await group.waitForAll()
    }
    let sequence = heard.withLock { $0 }
    #expect(sequence == sequence.sorted())
    #expect(try await store.mailbox("INBOX", of: account.id).highestModSeq.rawValue == sequence.last)
    _ = try await store.group.perform { writer, _ in try writer.database.execute("PRAGMA user_version = 99") }
    await store.close()
    do {
      _ = try await place.openSQLite()
      Issue.record("a newer format was opened")
    } catch {
      guard case .invalid(let reason) = error else { throw error }
      #expect(reason.contains("99"))
    }
  }
}
