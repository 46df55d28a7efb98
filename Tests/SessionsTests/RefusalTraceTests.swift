import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import SMTP
import Synchronization
import Testing

@testable import Sessions

/// Somebody will ask why it never came: whatever was refused, and whatever broke off, is in the trace and in the log.
@Suite("What is told of refused mail")
struct RefusalTraceTests {
  /// The lines of a log, `message key=value ...`, keys in the order of the alphabet.
  private final class Lines: LogHandler, @unchecked Sendable {
    private let lines = Mutex<[String]>([])
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(
      level: Logger.Level, message: Logger.Message, metadata: Logger.Metadata?, source: String, file: String, function: String,
      line: UInt
    ) {
      let facts = (metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
      lines.withLock { $0.append("\(message)\(facts)") }
    }

    var all: [String] { lines.withLock { $0 } }
    func all(of message: String) -> [String] { all.filter { $0.hasPrefix(message) } }
  }

  private struct Told: Sendable {
    var replies: [String]
    var lines: [String]
    /// The first event of each message that `name` leads to, the newest first.
    var facts: [[String: String]]
    var recipients: [String?]
  }

  private func told(
    _ acts: [ScriptedPeer.Act], of name: String, rig: Rig = Rig()
  ) throws -> Told {
    let log = Lines()
    var rig = rig
    rig.log = Logger(label: "test") { _ in log }
    let peer = ScriptedPeer(acts)
    return try rig.run { house in
      await house.talk(peer)
      var facts: [[String: String]] = []
      var recipients: [String?] = []
      for id in try await house.store.traces(naming: name, limit: 50) {
        let first = try #require(try await house.store.trace(of: id).first)
        #expect(first.kind == .refused)
        facts.append(Dictionary(first.detail.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
        recipients.append(first.recipient)
      }
      return Told(replies: peer.replies, lines: log.all, facts: facts, recipients: recipients)
    }
  }

  private static func say(_ lines: String...) -> [ScriptedPeer.Act] { lines.map { .say(Array(($0 + "\r\n").utf8)) } }

  private static var begun: [ScriptedPeer.Act] { say("EHLO client.test", "MAIL FROM:<carol@elsewhere.test>") }
  private static var underWay: [ScriptedPeer.Act] {
    begun + say("RCPT TO:<alice@example.test>", "DATA", "Subject: half", "", "of a mess")
  }

  @Test(
    "a RCPT that can't be read is told with what was said, by its sender and by whom it names",
    arguments: [
      ("RCPT TO:<@>", "501 5.1.3", "carol@elsewhere.test", nil),
      ("RCPT TO:<alice@example.test> FOO=1", "555 5.5.4", "alice@example.test", "alice@example.test"),
      ("RCPT TO:<bob@example.test> NOTIFY=SOMETIMES", "501 5.5.4", "bob@example.test", "bob@example.test"),
      ("RCPT TO:<zoë@example.test>", "553 5.6.7", "zoë@example.test", "zoë@example.test"),
    ] as [(String, String, String, String?)])
  func unreadable(line: String, reply: String, name: String, recipient: String?) throws {
    let told = try told(Self.begun + Self.say(line, "QUIT"), of: name)
    let facts = try #require(told.facts.first, "\(told.replies)")
    #expect(told.facts.count == 1 && told.recipients == [recipient])
    #expect(facts["stage"] == "RCPT" && facts["reply"]?.hasPrefix(reply) == true && facts["cause"] == "client")
    #expect(facts["from"] == "carol@elsewhere.test" && facts["client"] == "192.0.2.1" && facts["helo"] == "client.test")
    #expect(line.contains("zoë") || facts["said"] == line)
    #expect(told.lines.contains { $0.hasPrefix("recipient refused ") && $0.contains("reply=\(reply)") })
  }

  @Test(
    "a MAIL that is refused is told with the protocol it was said in, and has a line in the log",
    arguments: [
      ("MAIL FROM:<big@elsewhere.test> SIZE=99999999", "552 5.3.4", "big@elsewhere.test", "rules"),
      ("MAIL FROM:<odd@elsewhere.test> FOO=1", "555 5.5.4", "odd@elsewhere.test", "client"),
      ("MAIL FROM:<sure@elsewhere.test> REQUIRETLS", "530 5.7.10", "sure@elsewhere.test", "client"),
    ])
  func mail(line: String, reply: String, name: String, cause: String) throws {
    let told = try told(Self.say("EHLO client.test", line, "QUIT"), of: name)
    let facts = try #require(told.facts.first, "\(told.replies)")
    #expect(facts["stage"] == "MAIL" && facts["reply"]?.hasPrefix(reply) == true && facts["cause"] == cause)
    #expect(facts["with"] == "ESMTP" && facts["helo"] == "client.test")
    #expect(told.lines.contains { $0.hasPrefix("sender refused ") && $0.contains("from=\(name)") && $0.contains("reply=\(reply)") })
  }

  @Test("a sender that is too quick is told of, in the protocol it spoke, with a line in the log")
  func tooQuick() throws {
    var rig = Rig()
    rig.overload.messagesPerClientPerMinute = 1
    let told = try told(
      Self.begun + Self.say("RSET", "MAIL FROM:<dave@elsewhere.test>", "QUIT"), of: "dave@elsewhere.test", rig: rig)
    let facts = try #require(told.facts.first, "\(told.replies)")
    #expect(facts["reply"]?.hasPrefix("450 4.7.1") == true && facts["cause"] == "load" && facts["with"] == "ESMTP")
    #expect(told.lines.filter { $0.hasPrefix("sender refused ") }.count == 1)
  }

  @Test("a message that breaks off is told, with how far it had come", arguments: ["lost", "slow", "stopped", "chunks"])
  func cutOff(how: String) throws {
    var acts = Self.underWay
    switch how {
    case "lost": acts.append(.finish)
    case "slow": acts.append(.stall)
    case "stopped": acts += [.shutdownServer, .finish]
    default: acts = Self.begun + Self.say("RCPT TO:<alice@example.test>") + [.say(Array("BDAT 6\r\nabc\r\nx".utf8)), .finish]
    }
    let told = try told(acts, of: "alice@example.test")
    let facts = try #require(told.facts.first, "\(told.replies)")
    #expect(facts["verdict"] == "cut off" && facts["stage"] == "DATA" && facts["cause"] == "client" && told.facts.count == 1)
    #expect(facts["from"] == "carol@elsewhere.test" && facts["to"] == "alice@example.test")
    #expect(facts["reply"]?.prefix(3) == (how == "slow" || how == "stopped" ? "421" : nil))
    let octets = how == "chunks" ? "6" : "28"
    #expect(facts["size"] == octets && facts["reason"]?.contains("\(octets) octets had come") == true, "\(facts)")
    #expect(told.lines.filter { $0.hasPrefix("message cut off ") && $0.contains("to=alice@example.test") }.count == 1)
  }

  @Test("commands out of their order, and a connection that ends between messages, leave nothing")
  func nothing() throws {
    let acts = Self.say("EHLO client.test", "RCPT TO:<alice@example.test>", "RCPT TO:<alice@example.test> FOO=1")
    let told = try told(
      acts + Self.begun.dropFirst() + Self.say("RCPT TO:<alice@example.test>") + [.finish], of: "alice@example.test")
    #expect(told.facts.isEmpty && told.lines.isEmpty, "\(told.lines)")
  }

  @Test("what one client has refused again and again fills neither the log nor the trace")
  func bounded() throws {
    var lines = ["EHLO client.test"]
    for number in 0..<60 { lines += ["MAIL FROM:<n\(number)@elsewhere.test> SIZE=99999999"] }
    let told = try told(lines.flatMap { Self.say($0) } + [.finish], of: "n0@elsewhere.test")
    #expect(told.replies.filter { $0.hasPrefix("552") }.count == 60 && told.facts.count == 1)
    #expect(told.lines.filter { $0.hasPrefix("sender refused ") }.count == 20)
  }

  @Test("with soft bounces the reply is told as it went out, and what it stands for")
  func softened() throws {
    var rig = Rig()
    rig.softBounces = true
    let told = try told(Self.begun + Self.say("RCPT TO:<nobody@example.test>", "QUIT"), of: "nobody@example.test", rig: rig)
    let facts = try #require(told.facts.first)
    #expect(facts["reply"]?.hasPrefix("450 4.1.1") == true && facts["softened"] == "550 5.1.1" && facts["cause"] == "rules")
  }

  @Test("a full mailbox is no matter of the rules")
  func full() throws {
    var rig = Rig()
    rig.aliceQuota = 10
    let acts = Self.begun + Self.say("RCPT TO:<alice@example.test>", "DATA", "Subject: long", "", "text", ".", "QUIT")
    let facts = try #require(try told(acts, of: "alice@example.test", rig: rig).facts.first)
    #expect(facts["reply"]?.hasPrefix("552 5.2.2") == true && facts["cause"] == "mailbox")
  }
}
