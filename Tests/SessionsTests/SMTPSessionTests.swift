import MailModel
import MailStore
import MartletSimulation
import NIOCore
import Outside
import Overload
import Reception
import SMTP
import Synchronization
import Testing

@testable import Sessions

private let envelope = ["EHLO client.test", "MAIL FROM:<carol@elsewhere.test>"]
private let body = ["Subject: hello", "From: carol@elsewhere.test", "", "text", ".", "QUIT"]

@Suite("SMTP sessions")
struct SMTPSessionTests {
  @Test("a message for an account ends in its INBOX with Return-Path and Received on top")
  func delivers() throws {
    let (replies, bodies) = try Rig().run { house in
      let peer = ScriptedPeer(lines: envelope + ["RCPT TO:<Alice+news@Example.TEST>", "DATA"] + body)
      await house.talk(peer)
      return (peer.replies, try await house.bodies(of: "alice"))
    }
    #expect(replies.first?.hasPrefix("220 mx.example.test") == true)
    #expect(replies.contains { $0.hasPrefix("250 2.0.0 ") && $0.contains("queued as") })
    let message = try #require(bodies.first)
    #expect(bodies.count == 1)
    #expect(message.hasPrefix("Return-Path: <carol@elsewhere.test>\r\n"))
    let received = try #require(
      message.range(of: "Received: from client.test ([192.0.2.1])\r\n\tby mx.example.test (Martlet) with ESMTP id "))
    #expect(message.range(of: "Subject: hello\r\n").map { $0.lowerBound > received.upperBound } == true)
    #expect(message.hasSuffix("\r\n\r\ntext\r\n"))
  }

  @Test("with soft bounces every 5xx goes out as 4xx, and what is accepted is as ever")
  func softBounces() throws {
    var rig = Rig()
    rig.softBounces = true
    let (replies, count) = try rig.run { house in
      let peer = ScriptedPeer(
        lines: envelope + [
          "RCPT TO:<nobody@example.test>", "RCPT TO:<x@elsewhere.test>", "WHAT", "RCPT TO:<alice@example.test>", "DATA",
        ]
          + body)
      await house.talk(peer)
      return (peer.replies, try await house.bodies(of: "alice").count)
    }
    #expect(!replies.contains { $0.hasPrefix("5") })
    #expect(replies.contains { $0.hasPrefix("450 4.1.1 ") } && replies.contains { $0.hasPrefix("400 4.5") }, "\(replies)")
    #expect(count == 1)
  }

  @Test("an alias for two delivers one copy each, and a repeated recipient none more")
  func alias() throws {
    let counts = try Rig().run { house in
      let peer = ScriptedPeer(
        lines: envelope + ["RCPT TO:<all@example.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<alice@example.test>", "DATA"]
          + body)
      await house.talk(peer)
      return (try await house.bodies(of: "alice").count, try await house.bodies(of: "bob").count)
    }
    #expect(counts.0 == 1)
    #expect(counts.1 == 1)
  }

  @Test(
    "nobody relays who may not, whatever the address looks like",
    arguments: [
      "<x@elsewhere.test>", "<@example.test:x@elsewhere.test>", "<x%elsewhere.test@other.test>", "<elsewhere.test!x@other.test>",
      "<\"x@elsewhere.test\"@other.test>", "<x@[192.0.2.9]>", "<x@[127.0.0.1]>", "<x@[IPv6:::1]>", "<x@relay.test.elsewhere.test>",
      "<x@sub.relay.test>", "<x@xrelay.test>",
    ])
  func relaying(path: String) throws {
    let replies = try Rig().run { house in
      let peer = ScriptedPeer(lines: envelope + ["RCPT TO:\(path)", "QUIT"])
      await house.talk(peer)
      let value1 = try await house.store.queueCounts()
      #expect(value1.messages == 0)
      return peer.replies
    }
    let answer = try #require(replies.last { !$0.hasPrefix("221") })
    #expect(answer.hasPrefix("554 5.7.1") || answer.hasPrefix("501 5.1.3"), "\(answer)")
  }

  @Test("a local part that looks like a route stays a local part: no such user")
  func percentHack() throws {
    let replies = try Rig().run { house in
      let peer = ScriptedPeer(lines: envelope + ["RCPT TO:<x%elsewhere.test@example.test>", "QUIT"])
      await house.talk(peer)
      return peer.replies
    }
    #expect(replies.contains { $0.hasPrefix("550 5.1.1") })
  }

  @Test("a trusted network relays, a relay domain takes mail from anybody, both leave claimed and in memory")
  func queues() throws {
    let trusted = try #require(NetworkPrefix("192.0.2.0/24"))
    let rig = Rig(policy: ReceptionPolicy(hostname: "mx.example.test", trusted: [trusted]))
    try rig.run { house in
      await house.talk(ScriptedPeer(lines: envelope + ["RCPT TO:<x@elsewhere.test>", "DATA"] + body))
      await house.talk(ScriptedPeer(lines: envelope + ["RCPT TO:<y@relay.test>", "DATA"] + body), from: [198, 51, 100, 1])
      let submitted = house.submitted.messages.withLock { $0 }
      #expect(submitted.map { $0.0.entries.map(\.destination) } == [["elsewhere.test"], ["relay.test"]])
      #expect(submitted.allSatisfy { $0.0.entries.allSatisfy { $0.state == .claimed } })
      for (message, bytes) in submitted {
        let bytes = try #require(bytes)
        #expect(bytes.readableBytes == message.size)
        let stored = try await house.store.read(message.body, range: 0..<100_000)
        #expect(String(buffer: bytes) == String(buffer: stored))
      }
    }
  }

  @Test("<postmaster> without a domain is taken")
  func postmaster() throws {
    let bodies = try Rig().run { house in
      await house.talk(ScriptedPeer(lines: envelope + ["RCPT TO:<postmaster>", "DATA"] + body))
      return try await house.bodies(of: "alice")
    }
    #expect(bodies.count == 1)
  }

  @Test("HOSTILE 15: more hops than allowed are a loop")
  func loop() throws {
    let hops = Array(repeating: "Received: from a by b; Wed, 25 Nov 2026 00:00:00 +0000", count: 51)
    let replies = try Rig().run { house in
      let peer = ScriptedPeer(lines: envelope + ["RCPT TO:<bob@example.test>", "DATA"] + hops + body)
      await house.talk(peer)
      let value2 = try await house.bodies(of: "bob")
      #expect(value2.isEmpty)
      return peer.replies
    }
    #expect(replies.contains { $0.hasPrefix("554 5.4.6") })
  }

  @Test("a full mailbox refuses alone, and among others only after the sender's second try")
  func quota() throws {
    var rig = Rig()
    rig.aliceQuota = 300
    let long = ["Subject: long", "", String(repeating: "x", count: 500), ".", "QUIT"]
    try rig.run { house in
      let alone = ScriptedPeer(lines: envelope + ["RCPT TO:<alice@example.test>", "DATA"] + long)
      await house.talk(alone)
      #expect(alone.replies.contains { $0.hasPrefix("552 5.2.2") })
      let both =
        [envelope[0], envelope[1] + " SIZE=600", "RCPT TO:<alice@example.test>", "RCPT TO:<bob@example.test>", "DATA"] + long
      let first = ScriptedPeer(lines: both)
      await house.talk(first)
      #expect(first.replies.contains { $0.hasPrefix("452 4.2.2") })
      let value3 = try await house.bodies(of: "bob")
      #expect(value3.isEmpty)
      let second = ScriptedPeer(lines: both)
      await house.talk(second)
      #expect(second.replies.contains { $0.hasPrefix("552 5.2.2") })
      let value4 = try await house.bodies(of: "bob")
      #expect(value4.count == 1)
      let value5 = try await house.bodies(of: "alice")
      #expect(value5.isEmpty)
    }
  }

  @Test("LMTP answers for each recipient: a full mailbox is refused, the other gets its copy")
  func lmtpQuota() throws {
    var rig = Rig()
    rig.aliceQuota = 300
    rig.dialect = .lmtp
    let long = ["Subject: long", "", String(repeating: "x", count: 500), ".", "QUIT"]
    try rig.run { house in
      let peer = ScriptedPeer(
        lines: [
          "LHLO client.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<bob@example.test>",
          "DATA",
        ] + long)
      await house.talk(peer)
      let end = peer.replies.suffix(3)
      #expect(end.first?.hasPrefix("552 5.2.2") == true)
      #expect(end.dropFirst().first?.hasPrefix("250 2.0.0") == true)
      let value6 = try await house.bodies(of: "bob")
      #expect(value6.count == 1)
    }
  }

  @Test("HOSTILE 5: commands in the same segment as STARTTLS are not carried out, and the connection ends")
  func injection() throws {
    var rig = Rig()
    rig.offersTLS = true
    try rig.run { house in
      let peer = ScriptedPeer([
        .say(Array("EHLO client.test\r\n".utf8)), .say(Array("STARTTLS\r\nMAIL FROM:<a@b.test>\r\n".utf8)), .finish,
      ])
      await house.talk(peer)
      #expect(peer.startedTLS == 0)
      #expect(peer.isClosed)
      #expect(!peer.text.contains("250 2.1.0"))
    }
  }

  @Test("HOSTILE 6: after STARTTLS the conversation begins anew")
  func tlsBeginsAnew() throws {
    var rig = Rig()
    rig.offersTLS = true
    try rig.run { house in
      let peer = ScriptedPeer(
        lines: ["EHLO client.test", "STARTTLS", "MAIL FROM:<carol@elsewhere.test>", "EHLO client.test", "STARTTLS"]
          + ["MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<bob@example.test>", "DATA"] + body)
      await house.talk(peer)
      #expect(peer.startedTLS == 1, "\(peer.replies)")
      #expect(peer.replies.filter { $0.hasPrefix("503") }.count == 2, "\(peer.replies)")
      let value7 = try await house.bodies(of: "bob")
      let message = try #require(value7.first)
      #expect(message.contains("with ESMTPS id"))
      #expect(message.contains("(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)"))
    }
  }

  @Test("HOSTILE 7: who talks before the greeting is told so")
  func earlyTalk() throws {
    try Rig().run { house in
      let peer = ScriptedPeer(lines: envelope)
      peer.early = true
      await house.talk(peer)
      #expect(peer.replies.first?.hasPrefix("554 5.5.1") == true, "\(peer.replies)")
    }
  }

  @Test("HOSTILE 8: who speaks another protocol before the greeting hears one line", arguments: ["GET / HTTP/1.1", "SSH-2.0-x"])
  func earlyForeigner(line: String) throws {
    try Rig().run { house in
      let peer = ScriptedPeer(lines: [line] + envelope)
      peer.early = true
      await house.talk(peer)
      #expect(peer.replies.count == 1 && peer.text.hasPrefix("521 "), "\(peer.replies)")
    }
  }

  @Test("HOSTILE 66: a shutdown in the middle of a message answers 421 and keeps nothing")
  func shutdown() throws {
    try Rig().run { house in
      var acts = (envelope + ["RCPT TO:<bob@example.test>", "DATA", "Subject: half"]).map {
        ScriptedPeer.Act.say(Array(($0 + "\r\n").utf8))
      }
      acts.append(.shutdownServer)
      let peer = ScriptedPeer(acts)
      await house.talk(peer)
      #expect(peer.replies.last?.hasPrefix("421 4.3.2") == true, "\(peer.replies)")
      let value8 = try await house.bodies(of: "bob")
      #expect(value8.isEmpty)
    }
  }

  @Test("HOSTILE 55: on a disk known to be full MAIL is refused, and taken again when there is room")
  func knownFull() throws {
    let rig = Rig()
    let disk = rig.disk
    let executor = rig.executor
    try rig.run { house in
      let small = envelope + ["RCPT TO:<bob@example.test>", "DATA", "Subject: s", "", "text", ".", "QUIT"]
      disk.setCapacity(0)
      await house.talk(ScriptedPeer(lines: small))
      #expect(house.store.refusal == .full)
      let refused = ScriptedPeer(lines: envelope + ["QUIT"])
      await house.talk(refused)
      #expect(refused.replies.contains { $0.hasPrefix("452 4.3.1") }, "\(refused.replies)")
      disk.setCapacity(.max)
      await executor.sleep(until: executor.clock.monotonic().advanced(by: .seconds(60)))
      #expect(house.store.refusal == nil)
      await house.talk(ScriptedPeer(lines: small))
      let bodies = try await house.bodies(of: "bob")
      #expect(bodies.count == 1)
    }
  }

  @Test("a message that does not begin with a field gets the empty line that its own text needs in front")
  func headerless() throws {
    try Rig().run { house in
      for first in ["just text", "Subject: s"] {
        await house.talk(ScriptedPeer(lines: envelope + ["RCPT TO:<bob@example.test>", "DATA", first, "more", ".", "QUIT"]))
      }
      let bodies = try await house.bodies(of: "bob")
      #expect(bodies.count == 2 && bodies[0].hasSuffix("+0000\r\n\r\njust text\r\nmore\r\n"), "\(bodies)")
      #expect(bodies[1].hasSuffix("+0000\r\nSubject: s\r\nmore\r\n"), "\(bodies)")
    }
  }

  @Test("HOSTILE 9: a client that stalls in a message is cut off")
  func stalls() throws {
    try Rig().run { house in
      var acts = (envelope + ["RCPT TO:<bob@example.test>", "DATA", "Subject: half"]).map {
        ScriptedPeer.Act.say(Array(($0 + "\r\n").utf8))
      }
      acts.append(.stall)
      let peer = ScriptedPeer(acts)
      await house.talk(peer)
      #expect(peer.replies.last?.hasPrefix("421 4.4.2") == true, "\(peer.replies)")
      #expect(peer.isClosed)
    }
  }

  @Test("HOSTILE 55: with the disk full a message gets a 4xx reply, and is taken once there is room")
  func full() throws {
    let rig = Rig()
    let disk = rig.disk
    try rig.run { house in
      disk.setCapacity(0)
      let large = ["Subject: large", ""] + Array(repeating: String(repeating: "x", count: 900), count: 200) + [".", "QUIT"]
      let refused = ScriptedPeer(lines: envelope + ["RCPT TO:<bob@example.test>", "DATA"] + large)
      await house.talk(refused)
      #expect(refused.replies.contains { $0.hasPrefix("452 4.3.1") || $0.hasPrefix("451 4.3.0") }, "\(refused.replies)")
      let value9 = try await house.bodies(of: "bob")
      #expect(value9.isEmpty)
      disk.setCapacity(.max)
      let taken = ScriptedPeer(lines: envelope + ["RCPT TO:<bob@example.test>", "DATA"] + large)
      await house.talk(taken)
      #expect(taken.replies.contains { $0.contains("queued as") }, "\(taken.replies)")
    }
  }

  @Test("HOSTILE 13: a PROXY header names the client; without a good one a proxy is cut off silently")
  func proxy() throws {
    let proxies = try #require(NetworkPrefix("192.0.2.1/32"))
    let rig = Rig(policy: ReceptionPolicy(hostname: "mx.example.test", proxies: [proxies]))
    try rig.run { house in
      let good = ScriptedPeer(
        lines: ["PROXY TCP4 203.0.113.7 192.0.2.1 5000 25"] + envelope + ["RCPT TO:<bob@example.test>", "DATA"] + body)
      await house.talk(good)
      let value10 = try await house.bodies(of: "bob")
      #expect(value10.first?.contains("([203.0.113.7])") == true)
      let bad = ScriptedPeer(lines: ["EHLO client.test"])
      await house.talk(bad)
      #expect(bad.heard.readableBytes == 0)
      #expect(bad.wasAborted)
    }
  }

  @Test(
    "HOSTILE 13: a PROXY header from somebody else ends the connection without a word, whether it comes before the greeting or behind it",
    arguments: [
      Array("PROXY TCP4 203.0.113.7 192.0.2.1 5000 25\r\n".utf8),
      Array("PROXY TCP4 ".utf8) + [UInt8](repeating: 0x39, count: 65_536),
      Array("\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{C}".utf8) + [UInt8](repeating: 1, count: 12),
    ])
  func untrustedProxy(_ header: [UInt8]) throws {
    try Rig().run { house in
      for isEarly in [false, true] {
        let peer = ScriptedPeer([.say(header)] + envelope.map { .say(Array(($0 + "\r\n").utf8)) } + [.finish])
        peer.early = isEarly
        await house.talk(peer)
        #expect(peer.isClosed)
        #expect(isEarly ? peer.text.isEmpty : peer.replies.count == 1 && peer.text.hasPrefix("220 "), "\(peer.replies)")
      }
    }
  }

  @Test("chunks of BDAT make one message")
  func chunks() throws {
    try Rig().run { house in
      let first = "Subject: chunks\r\n\r\none\r\n"
      let second = "two\r\n"
      let peer = ScriptedPeer([
        .say(Array("EHLO client.test\r\n".utf8)),
        .say(Array("MAIL FROM:<carol@elsewhere.test>\r\nRCPT TO:<bob@example.test>\r\n".utf8)),
        .say(Array("BDAT \(first.utf8.count)\r\n\(first)".utf8)), .say(Array("BDAT \(second.utf8.count) LAST\r\n\(second)".utf8)),
        .finish,
      ])
      await house.talk(peer)
      let value11 = try await house.bodies(of: "bob")
      #expect(value11.first?.hasSuffix("one\r\ntwo\r\n") == true, "\(peer.replies)")
    }
  }
}
