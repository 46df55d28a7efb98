import InternetMessage
import MailModel
import Outside
import Testing

@testable import MailStore

/// What becomes of a message in its mailboxes is in its trace.
@Suite("Later moves in the trace")
struct MessageTracingTests {
  private static func facts(_ event: TraceEvent?) -> [String] {
    event?.detail.map { "\($0.key)=\($0.value)" } ?? []
  }

  @Test("moves, copies and removals are told with both mailboxes and UIDs; what was appended has no trace")
  func moves() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    _ = try await store.accept(Make.acceptance(1, to: [Make.delivery(account)]), body: Make.body(9), claiming: false)
    let inbox = try await store.mailbox("INBOX", of: account.id)
    let archive = try await store.mailbox("Archive", of: account.id)
    _ = try await store.append(
      AppendedMessage(flags: Flags(), internalDate: Timestamp(seconds: 1), summary: MessageSummary()), body: Make.body(9),
      to: inbox.id)
    _ = try await store.copy([UID(rawValue: 1)], from: inbox.id, to: archive.id)
    _ = try await store.move([UID(rawValue: 1), UID(rawValue: 2)], from: inbox.id, to: archive.id)
    _ = try await store.expunge([UID(rawValue: 2), UID(rawValue: 3)], from: archive.id, force: true)
    let trace = try await store.trace(of: Make.id(1))
    try #require(trace.map(\.kind) == [.received, .delivered, .copied, .moved, .expunged])
    #expect(trace.dropFirst().allSatisfy { $0.recipient == "a@example.test" })
    #expect(Self.facts(trace[1]) == ["mailbox=INBOX", "uid=1"])
    #expect(Self.facts(trace[2]) == ["from=INBOX", "from-uid=1", "mailbox=Archive", "uid=1"])
    #expect(Self.facts(trace[3]) == ["from=INBOX", "from-uid=1", "mailbox=Archive", "uid=2"])
    #expect(Self.facts(trace[4]) == ["mailbox=Archive", "uid=2"])
    // One row for each stage of the one message that came by mail.
    #expect(try await store.readers.read { try $0.first("SELECT count(DISTINCT id) FROM trace", []) { $0.int(0) } } == 1)
    await store.close()
  }

  @Test("a mailbox that is removed takes its messages along, and their traces say so")
  func removedMailbox() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    _ = try await store.accept(
      Make.acceptance(1, to: [Make.delivery(account, mailbox: "Lists")]), body: Make.body(9), claiming: false)
    try await store.deleteMailbox("Lists", of: account.id)
    var again = true
    while again { again = try await store.group.perform { writer, _ in try writer.retain(isShort: false) } }
    let trace = try await store.trace(of: Make.id(1))
    #expect(trace.map(\.kind) == [.received, .delivered, .expunged])
    #expect(Self.facts(trace.last) == ["uid=1", "reason=its mailbox was removed"])
    await store.close()
  }

  @Test("a delivery that had to wait tells its UID, and none is told for a recipient that was taken out meanwhile")
  func lateDelivery() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    func deliver(_ receipt: Receipt) async throws {
      let entry = try #require(receipt.queued?.entries.first)
      try await store.record(
        [
          OutcomeRecord(
            entry: entry.id, message: receipt.id, outcome: .deliveredLocally(Make.delivery(account)),
            trace: [
              TraceEvent(
                time: Timestamp(seconds: 2), kind: .delivered, recipient: "a@example.test", detail: [.init("mailbox", "INBOX")])
            ])
        ], .durably)
    }
    try await deliver(store.accept(Make.acceptance(1, queue: ["a@example.test"]), body: Make.body(9), claiming: true))
    #expect(Self.facts(try await store.trace(of: Make.id(1)).last) == ["mailbox=INBOX", "uid=1"])
    let receipt = try await store.accept(Make.acceptance(2, queue: ["a@example.test"]), body: Make.body(9), claiming: false)
    _ = try await store.act(.remove, on: QueueSelection(), now: Timestamp(seconds: 3), after: nil)
    try await deliver(receipt)
    #expect(try await store.trace(of: Make.id(2)).map(\.kind) == [.received, .queued, .removed])
    await store.close()
  }
}
