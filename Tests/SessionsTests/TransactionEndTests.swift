import MailModel
import NIOCore
import Outside
import SMTP
import Testing

@testable import Sessions

/// Nothing of a transaction that ended gets into the next, wherever it ended.
@Suite("What ends a transaction")
struct TransactionEndTests {
  private static let stale = "Subject: stale\r\n\r\nstale text\r\n"
  private static let fresh = "Subject: fresh\r\n\r\nfresh text\r\n"

  private static func say(_ text: String) -> ScriptedPeer.Act { .say(Array(text.utf8)) }

  private static func body(_ command: String) -> [ScriptedPeer.Act] {
    command == "DATA" ? [say("DATA\r\n"), say(fresh + ".\r\n")] : [say("BDAT \(fresh.utf8.count) LAST\r\n" + fresh)]
  }

  /// A chunk for bob, then `between`, then a message for alice; the replies, and what bob and alice got.
  private func run(
    _ between: String, _ command: String, limits: SMTPLimits = SMTPLimits()
  ) throws -> (replies: [String], bob: [String], alice: [String]) {
    var rig = Rig()
    rig.limits = limits
    return try rig.run { house in
      var acts =
        ["EHLO client.test\r\n", "MAIL FROM:<carol@elsewhere.test>\r\n", "RCPT TO:<bob@example.test>\r\n"].map(Self.say)
        + [Self.say("BDAT \(Self.stale.utf8.count)\r\n" + Self.stale)]
      acts.append(Self.say(between))
      // The look comes when the session waits for the next MAIL.
      let watched = Watched()
      acts.append(.look { watched.look() })
      acts += ["MAIL FROM:<dave@elsewhere.test>\r\n", "RCPT TO:<alice@example.test>\r\n"].map(Self.say)
      acts += Self.body(command)
      acts.append(.finish)
      let peer = ScriptedPeer(acts)
      let session = house.session(peer)
      watched.session = session
      await session.run()
      #expect(watched.holdsNothing == true, "the spool of the message that was taken back is still there")
      return (peer.replies, try await house.bodies(of: "bob"), try await house.bodies(of: "alice"))
    }
  }

  private final class Watched {
    weak var session: SMTPSession?
    var holdsNothing: Bool?
    func look() { holdsNothing = session?.intake == nil && session?.judged.isEmpty == true }
  }

  @Test(
    "a chunk taken back by RSET or EHLO is no part of the next message",
    arguments: ["RSET\r\n", "EHLO client.test\r\n", "HELO client.test\r\n"], ["DATA", "BDAT"])
  func takenBack(by command: String, then body: String) throws {
    let result = try run(command, body)
    #expect(result.bob.isEmpty)
    let message = try #require(result.alice.first, "\(result.replies)")
    #expect(message.hasSuffix("\r\n" + Self.fresh) && !message.contains("stale"), "\(message)")
    #expect(message.components(after: "Received: ").contains("by mx.example.test"))
  }

  @Test("a chunk that is refused ends the message with what came before it", arguments: ["DATA", "BDAT"])
  func refusedChunk(then body: String) throws {
    var limits = SMTPLimits()
    limits.messageSize = 60
    let large = String(repeating: "x", count: 50)
    let result = try run("BDAT 50\r\n" + large, body, limits: limits)
    #expect(result.replies.contains { $0.hasPrefix("552 5.3.4") }, "\(result.replies)")
    #expect(result.bob.isEmpty)
    #expect(result.alice.first.map { $0.hasSuffix("\r\n" + Self.fresh) && !$0.contains("stale") } == true, "\(result)")
  }

  @Test("a chunk with a bare line feed ends the message with what came before it", arguments: ["DATA", "BDAT"])
  func brokenChunk(then body: String) throws {
    let result = try run("BDAT 4\r\na\nb\n", body)
    #expect(result.replies.contains { $0.hasPrefix("550 5.6.11") }, "\(result.replies)")
    #expect(result.bob.isEmpty)
    #expect(result.alice.first.map { $0.hasSuffix("\r\n" + Self.fresh) && !$0.contains("stale") } == true, "\(result)")
  }

  @Test("a message that streams into a segment is given up too")
  func largeChunk() throws {
    let line = String(repeating: "x", count: 998) + "\r\n"
    let large = "Subject: stale\r\n\r\n" + String(repeating: line, count: 200)
    try Rig().run { house in
      let peer = ScriptedPeer(
        [
          "EHLO c\r\n", "MAIL FROM:<carol@elsewhere.test>\r\n", "RCPT TO:<bob@example.test>\r\n",
          "BDAT \(large.utf8.count)\r\n" + large, "RSET\r\n", "MAIL FROM:<dave@elsewhere.test>\r\n",
          "RCPT TO:<alice@example.test>\r\n", "DATA\r\n", Self.fresh + ".\r\n",
        ].map(Self.say) + [.finish])
      await house.talk(peer)
      let alice = try await house.bodies(of: "alice")
      #expect(alice.first.map { $0.hasSuffix("\r\n" + Self.fresh) && !$0.contains("stale") } == true, "\(peer.replies)")
    }
  }
}

extension String {
  /// What follows the first `text`; empty if it is not there.
  func components(after text: String) -> String { range(of: text).map { String(self[$0.upperBound...]) } ?? "" }
}
