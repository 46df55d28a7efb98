import InternetMessage
import MailModel
import MailStore
import NIOCore
import Testing

@testable import Sessions

/// Hostile messages through a whole session into the store.
@Suite("Hostile messages") struct HostileContentTests {
  private static let envelope = ["EHLO client.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<bob@example.test>", "DATA"]

  private static func say(_ text: String) -> ScriptedPeer.Act { .say(Array((text + "\r\n").utf8)) }

  /// The body of bob's last message as it was stored.
  private static func stored(_ house: Rig.House) async throws -> [UInt8] {
    let account = try #require(try await house.store.directory().accounts.first { $0.address.localPart == "bob" })
    let inbox = try await house.store.mailbox("INBOX", of: account.id).id
    let entry = try #require(try await house.store.entries(in: inbox, from: UID(rawValue: 1), limit: 1_000).last)
    return Array(try await house.store.read(entry.body, range: 0..<1_000_000).readableBytesView)
  }

  @Test(
    "HOSTILE 24: over its budget of fields, of a field or of the header a message is refused 552 5.3.4, and the session goes on")
  func budgets() throws {
    let field = "Subject: " + String(repeating: "x", count: 900)
    let texts = [
      String(repeating: "A:b\r\n", count: 1_000_000),
      field + String(repeating: "\r\n " + String(repeating: "y", count: 900), count: 300),
      String(repeating: field + "\r\n", count: 2_000),
      "To: " + String(repeating: "a@b,\r\n ", count: 200_000) + "c@d",
      "Content-Disposition: attachment" + (0..<1_000_000).map { ";\r\n f*\($0)=x" }.joined(),
    ]
    try Rig().run { house in
      for text in texts {
        let peer = ScriptedPeer(
          Self.envelope.map(Self.say) + [Self.say(text), Self.say(""), Self.say("text"), Self.say("."), Self.say("NOOP")])
        await house.talk(peer)
        #expect(peer.replies.contains { $0.hasPrefix("552 5.3.4") }, "\(peer.replies.suffix(3))")
        #expect(peer.replies.last?.hasPrefix("250 ") == true)
      }
      let bodies = try await house.bodies(of: "bob")
      #expect(bodies.isEmpty)
    }
  }

  @Test("HOSTILE 28: whatever encodings and charsets claim, the octets are kept as they came")
  func octets() throws {
    let head = { (fields: String) in Array("Subject: x\r\n\(fields)\r\n\r\n".utf8) }
    let messages: [[UInt8]] = [
      head("Content-Transfer-Encoding: base64") + Array("SGVsbG8gd29ybG".utf8),
      head("Content-Transfer-Encoding: quoted-printable") + Array("a=ZZb=\r\n=\r\n=4".utf8),
      head("Content-Type: text/plain; charset=utf-8") + [0xC0, 0xBC, 0xED, 0xA0, 0x80, 0xF5, 0x80, 0xE2, 0x82],
      head("Content-Type: text/plain; charset=utf-7") + Array("+ADw-script+AD4-".utf8),
      head("Content-Type: text/plain; charset=x-none") + Array(0x80...0xFF),
      head("X: y") + Array("begin 644 x\r\n#0V%T\r\n`\r\nend\r\n=ybegin line=128 size=3 name=x\r\nm=}\r\n=yend size=3".utf8),
    ]
    try Rig().run { house in
      for message in messages {
        let peer = ScriptedPeer(Self.envelope.map(Self.say) + [.say(message + Array("\r\n.\r\n".utf8)), .finish])
        await house.talk(peer)
        let kept = try await Self.stored(house)
        // The trace field stands in front.
        #expect(
          kept.starts(with: Array("Received: ".utf8)) && kept.suffix(message.count + 2).elementsEqual(message + [0x0D, 0x0A]))
      }
    }
  }

  @Test("HOSTILE 15: a message with this host's own name in 50 Received fields is taken, with one more it is a loop")
  func ownName() throws {
    try Rig().run { house in
      for (hops, reply) in [(50, "250 2.0.0"), (51, "554 5.4.6")] {
        let fields = Array(
          repeating: "Received: from mx.example.test by mx.example.test with ESMTP; Wed, 25 Nov 2026 00:00:00 +0000", count: hops)
        let peer = ScriptedPeer(lines: Self.envelope + fields + ["Subject: x", "", "text", ".", "QUIT"])
        await house.talk(peer)
        #expect(peer.replies.dropLast().last?.hasPrefix(reply) == true, "\(hops): \(peer.replies)")
      }
      let bodies = try await house.bodies(of: "bob")
      #expect(bodies.count == 1)
    }
  }

  @Test(
    "HOSTILE 60: with a tenth of the memory budget large headers of many sessions are put off, small messages never, and each is there once or not at all"
  )
  func tenthOfMemory() throws {
    let limit = SessionLimits().contentMemory / 10
    let memory = ContentMemory(limit: limit)
    var rig = Rig()
    rig.contentMemory = memory
    rig.overload.connectionsPerClient = 0
    let sessions = 60
    // Nearly the largest header that one message may have, 60 times, is twice the budget.
    let filling = String(repeating: "\r\n " + String(repeating: "x", count: 980), count: 240)
    let header = ["Subject", "To", "Cc", "References"].map { "\($0):\(filling)\r\n" }.joined()
    let meeting = Meeting(of: 2 * sessions)
    try rig.run { house in
      let large = (0..<sessions).map { number in
        ScriptedPeer(
          Self.envelope.map(Self.say) + [
            Self.say(header + "X-Number: \(number)"), .meet(meeting), Self.say("\r\ntext\r\n."), .finish,
          ])
      }
      let small = (0..<sessions).map { number in
        ScriptedPeer(
          Self.envelope.map(Self.say) + [Self.say("Subject: small \(number)"), .meet(meeting), Self.say("\r\ntext\r\n."), .finish])
      }
      await withTaskGroup(of: Void.self) { group in
        for (one, other) in zip(large, small) {
          group.addTask { await house.talk(one) }
          group.addTask { await house.talk(other) }
        }
      }
      let taken = large.filter { $0.replies.last?.hasPrefix("250 2.0.0") == true }
      let putOff = large.filter { $0.replies.last?.hasPrefix("452 4.3.1") == true }
      #expect(taken.count + putOff.count == sessions && !taken.isEmpty && !putOff.isEmpty, "\(taken.count) and \(putOff.count)")
      #expect(small.allSatisfy { $0.replies.last?.hasPrefix("250 2.0.0") == true })
      #expect(memory.octets == 0)
      // Put off is not refused: one after the other they are taken.
      for number in large.indices where large[number].replies.last?.hasPrefix("452") == true {
        let again = ScriptedPeer(
          Self.envelope.map(Self.say) + [Self.say(header + "X-Number: \(number)"), Self.say("\r\ntext\r\n."), .finish])
        await house.talk(again)
        #expect(again.replies.last?.hasPrefix("250 2.0.0") == true)
      }
      let account = try #require(try await house.store.directory().accounts.first { $0.address.localPart == "bob" })
      let inbox = try await house.store.mailbox("INBOX", of: account.id)
      #expect(inbox.messages == 2 * sessions)
    }
  }
}
