import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Testing

@Suite("The store, step by step")
struct BasicTests {
  @Test("a relayed message is leased at once, and gone after its removal")
  func relay() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let receipt = try await store.accept(Make.acceptance(1, queue: ["a@example.org"]), body: Make.body(4_000), claiming: true)
    let queued = try #require(receipt.queued)
    #expect(queued.entries.map(\.state) == [.claimed])
    #expect(try await store.queueCounts() == QueueCounts(messages: 1, waiting: 0, held: 0, claimed: 1))
    #expect(try await store.all(queued.body) == Array(repeating: 0x52, count: 200) + Array(repeating: 0x61, count: 4_000))
    let outcome = OutcomeRecord(
      entry: queued.entries[0].id, message: queued.id, outcome: .delivered(reply: "250 ok"),
      trace: [
        TraceEvent(time: Timestamp(seconds: 2), kind: .relayed, recipient: "a@example.org", detail: [.init("reply", "250 ok")])
      ])
    try await store.record([outcome], .lazily)
    #expect(try await store.queue(matching: QueueSelection(), after: nil, limit: 10).isEmpty)
    #expect(try await store.trace(of: queued.id).map(\.kind) == [.received, .queued, .relayed])
    await #expect(throws: StoreError.notFound("message \(queued.body.rawValue)")) { try await store.all(queued.body) }
    await store.close()
  }

  @Test("a delivered message is in the mailbox with its prefix, and still there after opening again")
  func delivery() async throws {
    let place = try StoreUnderTest()
    var store = try await place.openSQLite()
    let account = try await store.makeAccount("alice@example.test")
    let receipt = try await store.accept(Make.acceptance(1, to: [Make.delivery(account)]), body: Make.body(100), claiming: false)
    #expect(receipt.deliveries.map(\.uid) == [UID(rawValue: 1)])
    await store.close()
    await #expect(throws: StoreError.closed) { try await store.directory() }

    store = try await place.openSQLite()
    let inbox = try await store.mailbox("inbox", of: account.id)
    #expect(inbox.messages == 1)
    #expect(inbox.unseen == 1)
    let entry = try #require(try await store.entries(in: inbox.id, from: UID(rawValue: 1), limit: 10).first)
    #expect(
      String(decoding: entry.deliveryPrefix, as: UTF8.self)
        == "Return-Path: <sender@example.net>\r\nDelivered-To: alice@example.test\r\n")
    #expect(entry.size == 300 + entry.deliveryPrefix.count)
    #expect(entry.summary.subject == "Hello")
    #expect(try await store.directory().accounts == [account])
    let report = try await store.verify { _ in }
    #expect(report.problems.isEmpty)
    #expect(report.bodies == 1)
    await store.close()
  }

  @Test("an id that another message has is refused, never taken for a repetition")
  func takenID() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("alice@example.test")
    let acceptance = Make.acceptance(1, to: [Make.delivery(account)])
    _ = try await store.accept(acceptance, body: Make.body(100), claiming: false)
    var other = acceptance
    for origin in [nil, QueueRecipientID(rawValue: 7)] {
      other.origin = origin
      await #expect(throws: StoreError.exists("queue id \(acceptance.id)")) {
        try await store.accept(other, body: Make.body(100), claiming: false)
      }
    }
    // A refusal has left a trace by that id.
    let refused = store.makeQueueID()
    store.note(refused, [TraceEvent(time: Timestamp(seconds: 1), kind: .received)])
    await store.close()
    let again = try await place.openSQLite()
    #expect(again.makeQueueID() > refused)
    other.id = refused
    await #expect(throws: StoreError.exists("queue id \(refused)")) {
      try await again.accept(other, body: Make.body(100), claiming: false)
    }
    #expect(try await again.mailbox("INBOX", of: account.id).messages == 1)
    await again.close()
  }

  @Test("accepting the same id twice from one origin stores once")
  func idempotent() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("alice@example.test")
    var acceptance = Make.acceptance(1, to: [Make.delivery(account)], queue: ["b@example.org"])
    acceptance.origin = QueueRecipientID(rawValue: 7)
    let first = try await store.accept(acceptance, body: Make.body(100), claiming: false)
    let second = try await store.accept(acceptance, body: Make.body(100), claiming: false)
    #expect(!first.isRepeated)
    #expect(second.isRepeated)
    #expect(second.deliveries.map(\.uid) == first.deliveries.map(\.uid))
    #expect(try await store.mailbox("INBOX", of: account.id).messages == 1)
    #expect(try await store.queueCounts().waiting == 1)
    await store.close()
  }

  @Test("a second opening is refused while the first has the store, and says who has it")
  func lock() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    do {
      _ = try await place.openSQLite()
      Issue.record("opened twice")
    } catch {
      guard case .unavailable(let reason) = error else { throw error }
      #expect(reason.contains("process"))
    }
    await store.close()
    await (try place.openSQLite()).close()
  }

  @Test("claims come in due order, are grouped by message, and end with the lease")
  func claims() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    _ = try await store.accept(Make.acceptance(1, queue: ["a@x.org", "b@y.org"], due: 20), body: Make.body(9), claiming: false)
    _ = try await store.accept(Make.acceptance(2, queue: ["c@x.org"], due: 10), body: Make.body(9), claiming: false)
    #expect(try await store.nextDue() == Timestamp(seconds: 10))
    #expect(try await store.claimDue(now: Timestamp(seconds: 5), limit: 10, leaseEnd: Timestamp(seconds: 100)).isEmpty)
    let claimed = try await store.claimDue(now: Timestamp(seconds: 30), limit: 10, leaseEnd: Timestamp(seconds: 100))
    #expect(claimed.map(\.id) == [Make.id(2), Make.id(1)])
    #expect(claimed.map { $0.entries.map(\.address.domain) } == [["x.org"], ["x.org", "y.org"]])
    #expect(try await store.claimDue(now: Timestamp(seconds: 30), limit: 10, leaseEnd: Timestamp(seconds: 100)).isEmpty)
    #expect(try await store.claimDue(now: Timestamp(seconds: 101), limit: 10, leaseEnd: Timestamp(seconds: 200)).count == 2)
    await store.close()
  }
}
