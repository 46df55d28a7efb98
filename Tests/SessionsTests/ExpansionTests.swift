import MailModel
import MailStore
import NIOCore
import Outside
import Reception
import SMTP
import Testing

@testable import Sessions

/// What aliases lead to, with what can't take mail among it.
@Suite("Expansion")
struct ExpansionTests {
  private static func rig(_ aliases: [String: [String]]) -> Rig {
    var rig = Rig()
    rig.aliases = aliases
    return rig
  }

  private static func talk(_ house: Rig.House, to recipients: String..., from: String = "carol@elsewhere.test") async
    -> ScriptedPeer
  {
    let peer = ScriptedPeer(
      lines: ["EHLO c.test", "MAIL FROM:<\(from)>"] + recipients.map { "RCPT TO:<\($0)>" }
        + ["DATA", "Subject: list", "", "text", ".", "QUIT"])
    await house.talk(peer)
    return peer
  }

  @Test("members of an alias that can't take mail are queued, so that the sender hears of them")
  func undeliverable() throws {
    try Self.rig(["half": ["ghost@example.test", "bob@example.test"]]).run { house in
      let peer = await Self.talk(house, to: "half@example.test")
      #expect(peer.replies.contains { $0.contains("queued as") }, "\(peer.replies)")
      let bob = try await house.bodies(of: "bob")
      #expect(bob.count == 1)
      let submitted = house.submitted.messages.withLock { $0 }
      let message = try #require(submitted.first?.0)
      let entry = try #require(message.entries.first)
      #expect(message.entries.count == 1 && entry.address.wire == "ghost@example.test")
      #expect(entry.notification.originalRecipient == "rfc822;half@example.test")
      let resolution = await house.host.resolve(entry, of: message)
      #expect(resolution == .permanent(reason: "550 5.1.1 <ghost@example.test>: no such user here"))
      let trace = try await house.store.trace(of: message.id)
      let expanded = try #require(trace.first { $0.kind == .expanded })
      #expect(expanded.detail.contains { $0.key == "undeliverable" && $0.value == "ghost@example.test" })
    }
  }

  @Test(
    "a list that would make the message too long gets 452 4.5.3, and all of it in a transaction of its own (RFC 5321, 4.5.3.1.10)")
  func longLists() throws {
    let names = (0..<11).map { "list\($0)@example.test" }
    var aliases: [String: [String]] = [:]
    for list in 0..<11 { aliases["list\(list)"] = (0..<1_000).map { "m\($0)@l\(list).test" } }
    try Self.rig(aliases).run { house in
      #expect(house.listener.limits.targets == StoreLimits().recipients)
      let peer = ScriptedPeer(
        lines: ["EHLO c.test", "MAIL FROM:<carol@elsewhere.test>"] + names.map { "RCPT TO:<\($0)>" }
          // What the others lead to already makes it no longer.
          + ["RCPT TO:<list3+again@example.test>", "RCPT TO:<bob@example.test>"]
          + ["DATA", "Subject: lists", "", "text", ".", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<\(names[10])>"]
          + ["DATA", "Subject: lists", "", "text", ".", "QUIT"])
      await house.talk(peer)
      #expect(peer.replies.filter { $0.hasPrefix("452 4.5.3") }.count == 2, "\(peer.replies)")
      #expect(peer.replies.filter { $0.contains("queued as") }.count == 2, "\(peer.replies)")
      let messages = house.submitted.messages.withLock { $0.map { Set($0.0.entries.map(\.address.wire)) } }
      #expect(messages.map(\.count) == [10_000, 1_000])
      #expect(messages.reduce(Set<String>()) { $0.union($1) }.count == 11_000)
    }
  }

  @Test("a trace is found by the address as it was given, too")
  func tracedByAlias() throws {
    try Self.rig(["half": ["alice@example.test", "bob@example.test"]]).run { house in
      _ = await Self.talk(house, to: "Half+tag@Example.test")
      for name in ["half+tag@example.test", "alice@example.test", "carol@elsewhere.test"] {
        let found = try await house.store.traces(naming: name, limit: 10)
        #expect(found.count == 1, "\(name)")
      }
    }
  }

  @Test("an account's alias that names it keeps a copy; its waiting copy is not forwarded again")
  func keepAndForward() throws {
    var rig = Self.rig(["alice": ["alice@example.test", "bob@example.test", "away@other.test"]])
    rig.aliceQuota = 100
    try rig.run { house in
      _ = await Self.talk(house, to: "alice@example.test")
      let bob = try await house.bodies(of: "bob")
      #expect(bob.count == 1)
      let message = try #require(house.submitted.messages.withLock { $0 }.first?.0)
      #expect(message.entries.map(\.address.wire) == ["alice@example.test", "away@other.test"])
      let waiting = try #require(message.entries.first { $0.destination == QueueEntry.localDestination })
      let alice = try #require(try await house.store.directory().accounts.first { $0.address.localPart == "alice" })
      guard case .deliver(let delivery) = await house.host.resolve(waiting, of: message) else {
        Issue.record("the copy that waits must go to the mailbox")
        return
      }
      #expect(delivery.account == alice.id && delivery.recipient.wire == "alice@example.test")
    }
  }

  @Test("recipients elsewhere that differ in case are two (RFC 5321, 2.4)")
  func remoteCase() throws {
    try Self.rig([:]).run { house in
      _ = await Self.talk(house, to: "Joe@relay.test", "joe@relay.test", "joe@RELAY.test")
      let message = try #require(house.submitted.messages.withLock { $0 }.first?.0)
      #expect(message.entries.map(\.address.wire) == ["Joe@relay.test", "joe@relay.test"])
    }
  }

  @Test(
    "the postmaster of the host's own name, or of the address that was reached, is taken (RFC 5321, 4.5.1)",
    arguments: ["postmaster@mx.example.test", "PostMaster@MX.example.TEST", "postmaster@[127.0.0.1]"])
  func ownPostmaster(address: String) throws {
    try Rig().run { house in
      _ = await Self.talk(house, to: address)
      let alice = try await house.bodies(of: "alice")
      #expect(alice.count == 1)
    }
  }

  @Test(
    "other names and addresses are still not ours",
    arguments: ["postmaster@[127.0.0.2]", "root@mx.example.test", "postmaster@x.test"])
  func notOurs(address: String) throws {
    try Rig().run { house in
      let peer = await Self.talk(house, to: address)
      #expect(peer.replies.contains { $0.hasPrefix("554 5.7.1") }, "\(peer.replies)")
    }
  }

  @Test("a notification for a mailbox that is full beyond its grace waits in the queue")
  func notification() throws {
    var rig = Rig()
    rig.aliceQuota = 100
    try rig.run { house in
      let id = house.store.makeQueueID()
      let text = "Subject: failed\r\n\r\n" + String(repeating: "x", count: Int(Reception.notificationGrace) + 1_000) + "\r\n"
      let alice = try #require(try await house.store.directory().accounts.first { $0.address.localPart == "alice" })
      _ = try await house.host.accept(
        .init(
          id: id, stage: .failed, subject: id, recipient: alice.address, bytes: Array(text.utf8),
          notBefore: house.listener.clock.now()))
      let queued = try await house.store.queue(matching: QueueSelection(), after: nil, limit: 10).flatMap(\.entries)
      #expect(queued.map(\.address.wire) == ["alice@example.test"])
      #expect(queued.first?.notification.notify == .never)
    }
  }
}
