import MailModel
import NIOCore
import Outside
import Overload
import Reception
import SMTP
import Testing

@testable import Sessions

/// Sessions under the caps of `Overload`.
@Suite("Sessions when there is too much to do")
struct OverloadedSessionTests {
  private static func say(_ text: String) -> ScriptedPeer.Act { .say(Array((text + "\r\n").utf8)) }

  @Test("an idle session that is shed is told why, in the words of its code")
  func shed() throws {
    try Rig().run { house in
      let peer = ScriptedPeer([Self.say("EHLO c.test"), Self.say("NOOP"), .shed, Self.say("NOOP")])
      await house.talk(peer)
      #expect(peer.replies.last == "421 4.3.2 mx.example.test Too many connections, try again later", "\(peer.replies)")
      #expect(peer.isClosed)
      #expect(house.listener.overload.census.sessions == 0)
    }
  }

  @Test("a session that has begun a message by then finishes it first")
  func shedWithinMessage() throws {
    try Rig().run { house in
      let peer = ScriptedPeer(
        ["EHLO c.test", "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<bob@example.test>", "DATA", "Subject: half"].map(Self.say)
          + [.shed] + ["", "text", ".", "NOOP"].map(Self.say))
      await house.talk(peer)
      #expect(peer.replies.contains { $0.contains("queued as") }, "\(peer.replies)")
      #expect(peer.replies.last?.hasPrefix("421 4.3.2 mx.example.test Too many connections") == true, "\(peer.replies)")
      let bob = try await house.bodies(of: "bob")
      #expect(bob.count == 1)
    }
  }

  @Test("what XCLIENT names is counted: rates of each client, not of the front end")
  func xclient() throws {
    let front = try #require(NetworkPrefix("192.0.2.1/32"))
    var rig = Rig(policy: ReceptionPolicy(hostname: "mx.example.test", xclients: [front]))
    rig.overload = OverloadLimits(connectionsPerClient: 1, messagesPerClientPerMinute: 1)
    try rig.run { house in
      let peer = ScriptedPeer(
        lines: ["203.0.113.1", "203.0.113.2", "203.0.113.1"].flatMap { address in
          [
            "XCLIENT ADDR=\(address) NAME=client.test HELO=its.own.name PROTO=SMTP", "EHLO front.test",
            "MAIL FROM:<carol@elsewhere.test>", "RSET",
          ]
        } + ["QUIT"])
      await house.talk(peer)
      let answers = peer.replies.filter { $0.hasPrefix("250 2.1.0") || $0.hasPrefix("450 4.7.1") }.map { $0.prefix(3) }
      #expect(answers == ["250", "250", "450"], "\(peer.replies)")
    }
  }

  @Test("XCLIENT's HELO, PROTO and NAME stand in the trace field; a name that is none does not")
  func xclientTraced() throws {
    let front = try #require(NetworkPrefix("192.0.2.1/32"))
    let rig = Rig(policy: ReceptionPolicy(hostname: "mx.example.test", xclients: [front]))
    try rig.run { house in
      for name in ["client.test", "a(b)c\"d", "b+C3+BCcher.test"] {
        await house.talk(
          ScriptedPeer(
            lines: [
              "XCLIENT ADDR=203.0.113.1 NAME=\(name) HELO=its.own.name PROTO=SMTP", "EHLO front.test",
              "MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<bob@example.test>", "DATA", "Subject: x", "", "text", ".", "QUIT",
            ]))
      }
      let bodies = try await house.bodies(of: "bob")
      let heads = bodies.map { $0.components(after: "Received: ").prefix { $0 != "\r\n" } }
      #expect(
        heads == [
          "from its.own.name (client.test [203.0.113.1])", "from its.own.name ([203.0.113.1])",
          "from its.own.name (xn--bcher-kva.test [203.0.113.1])",
        ])
      #expect(bodies.allSatisfy { $0.contains(" with SMTP id ") })
    }
  }

  @Test("a trusted network has no share to keep to")
  func trusted() throws {
    let network = try #require(NetworkPrefix("192.0.2.0/24"))
    var rig = Rig(policy: ReceptionPolicy(hostname: "mx.example.test", trusted: [network]))
    rig.overload = OverloadLimits(connectionsPerClient: 1, messagesPerClientPerMinute: 1)
    rig.limits.badRecipients = 1
    try rig.run { house in
      let peer = ScriptedPeer(
        lines: ["EHLO c.test"]
          + (1...5).flatMap { _ in ["MAIL FROM:<carol@elsewhere.test>", "RCPT TO:<ghost@example.test>", "RSET"] } + ["QUIT"])
      await house.talk(peer)
      #expect(peer.replies.filter { $0.hasPrefix("250 2.1.0") }.count == 5, "\(peer.replies)")
      #expect(peer.replies.last?.hasPrefix("221") == true)
      let other = ScriptedPeer(lines: ["EHLO c.test"] + (1...2).flatMap { _ in ["MAIL FROM:<carol@elsewhere.test>", "RSET"] })
      await house.talk(other, from: [198, 51, 100, 1])
      #expect(other.replies.contains { $0.hasPrefix("450 4.7.1") }, "\(other.replies)")
    }
  }
}
