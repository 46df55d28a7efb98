import MailModel
import MailStore
import NIOCore
import Outside
import Reception
import SMTP
import Testing

@testable import Sessions

/// Alice may hold 2,000 octets; the long message has 3,000.
@Suite("Full mailboxes")
struct FullMailboxTests {
  private static let text =
    ["Subject: long", ""] + Array(repeating: String(repeating: "x", count: 600), count: 5) + [".", "QUIT"]
  private static let short = ["Subject: short", "", "text", ".", "QUIT"]

  private static func rig(_ dialect: SMTPDialect = .smtp) -> Rig {
    var rig = Rig()
    rig.aliceQuota = 2_000
    rig.dialect = dialect
    return rig
  }

  private static func lines(
    _ recipients: String..., size: String = "", dialect: SMTPDialect = .smtp, body: [String] = text
  ) -> ScriptedPeer {
    ScriptedPeer(
      lines: [dialect == .lmtp ? "LHLO c.test" : "EHLO c.test", "MAIL FROM:<carol@elsewhere.test>\(size)"]
        + recipients.map { "RCPT TO:<\($0)@example.test>" } + ["DATA"] + body)
  }

  private static func counts(_ house: Rig.House) async throws -> (alice: Int, bob: Int) {
    (try await house.bodies(of: "alice").count, try await house.bodies(of: "bob").count)
  }

  @Test("a list with one full member reaches the others, and the full one's copy waits in the queue", arguments: [false, true])
  func list(isLMTP: Bool) throws {
    let dialect = isLMTP ? SMTPDialect.lmtp : .smtp
    try Self.rig(dialect).run { house in
      for round in 1...3 {
        let peer = Self.lines("all", dialect: dialect)
        await house.talk(peer)
        #expect(peer.replies.contains { $0.hasPrefix("250 2.0.0") && $0.contains("queued as") }, "\(peer.replies)")
        let counts = try await Self.counts(house)
        #expect(counts == (0, round))
      }
      let queued = try await house.store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries)
      #expect(queued.map(\.address.wire) == Array(repeating: "alice@example.test", count: 3))
      #expect(queued.map(\.destination) == Array(repeating: QueueEntry.localDestination, count: 3))
      #expect(house.submitted.messages.withLock { $0.count } == 3, "delivery must be told")
      let id = try #require(queued.first?.message)
      let trace = try await house.store.trace(of: id)
      #expect(trace.contains { $0.kind == .deferred && $0.recipient == "alice@example.test" })
    }
  }

  @Test("a list all of whose members are full is refused")
  func everybody() throws {
    var rig = Self.rig()
    rig.aliases = ["only": ["alice@example.test"]]
    try rig.run { house in
      let peer = Self.lines("only")
      await house.talk(peer)
      #expect(peer.replies.contains { $0.hasPrefix("552 5.2.2") }, "\(peer.replies)")
      let left = try await house.store.queueCounts()
      #expect(left.messages == 0)
    }
  }

  @Test("NOTIFY=SUCCESS confirms what was delivered, never the copy that waits", arguments: [false, true])
  func confirmation(isLMTP: Bool) throws {
    let dialect = isLMTP ? SMTPDialect.lmtp : .smtp
    try Self.rig(dialect).run { house in
      let peer = ScriptedPeer(
        lines: [
          isLMTP ? "LHLO c.test" : "EHLO c.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<all@example.test> NOTIFY=SUCCESS",
          "DATA",
        ] + Self.text)
      await house.talk(peer)
      let queued = try await house.queued()
      #expect(queued.confirmed == ["all@example.test"], "\(peer.replies)")
      #expect(queued.others == ["alice@example.test"])
    }
  }

  @Test("LMTP: a full recipient is refused by itself, and no success is told for it")
  func lmtpAlone() throws {
    try Self.rig(.lmtp).run { house in
      let peer = ScriptedPeer(
        lines: [
          "LHLO c.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<alice@example.test> NOTIFY=SUCCESS",
          "RCPT TO:<bob@example.test> NOTIFY=SUCCESS", "DATA",
        ] + Self.text)
      await house.talk(peer)
      let end = peer.replies.suffix(3).map { $0.prefix(3) }
      #expect(end == ["552", "250", "221"], "\(peer.replies)")
      let queued = try await house.queued()
      #expect(queued.confirmed == ["bob@example.test"])
      #expect(queued.others.isEmpty)
    }
  }

  @Test("without SIZE, who is full among others delays them once; then its copy waits and theirs arrive")
  func withoutSize() throws {
    try Self.rig().run { house in
      let first = Self.lines("alice", "bob")
      await house.talk(first)
      #expect(first.replies.contains { $0.hasPrefix("452 4.2.2") }, "\(first.replies)")
      let second = Self.lines("alice", "bob")
      await house.talk(second)
      #expect(second.replies.contains { $0.contains("queued as") }, "\(second.replies)")
      let counts = try await Self.counts(house)
      #expect(counts == (0, 1))
      let queued = try await house.store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries)
      #expect(queued.map(\.address.wire) == ["alice@example.test"])
    }
  }

  @Test("a mailbox that a long message did not fit into still takes a short one", arguments: ["", " SIZE=100"])
  func shortAfterLong(size: String) throws {
    try Self.rig().run { house in
      await house.talk(Self.lines("alice", "bob"))
      let peer = Self.lines("alice", size: size, body: Self.short)
      await house.talk(peer)
      #expect(peer.replies.contains { $0.contains("queued as") }, "\(peer.replies)")
      let counts = try await Self.counts(house)
      #expect(counts == (1, 0))
    }
  }

  @Test(
    "no announced size traps: it does not fit, and that is all",
    arguments: ["9223372036854775807", "9223372036854775806", "18446744073709551615", "99999999999999999999", "0"])
  func hugeSize(size: String) throws {
    var rig = Self.rig()
    rig.limits.messageSize = 0
    try rig.run { house in
      // Something is in the mailbox, and it is remembered as full.
      await house.talk(Self.lines("alice", body: Self.short))
      await house.talk(Self.lines("alice", "bob"))
      let peer = ScriptedPeer(
        lines: ["EHLO c.test", "MAIL FROM:<a@b.test> SIZE=\(size)", "RCPT TO:<alice@example.test>", "RCPT TO:<all@example.test>"])
      await house.talk(peer)
      let replies = peer.replies.suffix(2).map { $0.prefix(3) }
      #expect(replies == (size == "0" ? ["250", "250"] : ["552", "250"]), "\(peer.replies)")
    }
  }

  @Test("what is remembered of a mailbox expires")
  func expiry() async throws {
    let rig = Self.rig()
    let executor = rig.executor
    try rig.run { house in
      await house.talk(Self.lines("alice", "bob"))
      let full = house.listener.fullMailboxes
      let alice = try #require(try await house.store.directory().accounts.first { $0.address.localPart == "alice" })
      let judged = JudgedRecipient(
        recipient: SMTPRecipient(address: alice.address), local: [.init(account: alice.id, address: alice.address)],
        explanation: "account")
      let before = await full.isFull(judged, size: 5_000, store: house.store)
      #expect(before)
      await executor.sleep(until: executor.clock.monotonic().advanced(by: .seconds(86_401)))
      let after = await full.isFull(judged, size: 5_000, store: house.store)
      #expect(!after)
    }
  }
}
