import InternetMessage
import MailModel
import NIOCore
import Outside
import Testing

@testable import Delivery

@Suite struct NotificationTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]
  static let refusing: @Sendable (inout FakeHost.Script) -> Void = { $0.replies = [("RCPT", "550 5.1.1 No such user")] }

  @Test("the sender is told before the queue lets go, and the trace says by which message")
  func failure() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600", Self.refusing)
    let message = rig.message(to: ["bob@d.test"]) { $0.envelopeID = "ref 7" }
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.sink.all.map(\.recipient.wire) == ["alice@own.test"])
    #expect(rig.sink.all[0].envelope.reversePath == nil)
    #expect(rig.queue.state.withLock { $0.durable.count } == 1)
    #expect(rig.trace(of: message).map(\.kind) == [.attempted, .notified, .bounced])
    #expect(rig.sink.text(0).contains("Original-Envelope-Id: ref 7\r\n"))
    #expect(rig.sink.text(0).contains("Content-Type: message/rfc822\r\n\r\nSubject: hello\r\n\r\nHello."))
  }

  @Test("a notification that can't be stored keeps the recipient in the queue, and no host is asked again for it")
  func failingSink() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600", Self.refusing)
    rig.start()
    rig.sink.fails.withLock { $0 = true }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(8_000))
    #expect(rig.outcomes(of: message).isEmpty && rig.queue.left == 1)
    rig.sink.fails.withLock { $0 = false }
    rig.run(.seconds(400))
    #expect(rig.outcomes(of: message).map(\.isPermanent) == [true])
    #expect(rig.sink.all.count == 1 && host.seen.withLock { $0.connections } == 1)
  }

  @Test("a notification that nobody can get is over: the trace says why")
  func discarded() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600", Self.refusing)
    rig.sink.discards.withLock { $0 = "the mailbox is full" }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.isPermanent) == [true])
    let trace = rig.trace(of: message)
    // The postmaster would have heard, and is nobody either.
    #expect(trace.map(\.kind) == [.attempted, .discarded, .discarded, .bounced])
    #expect(trace[1].detail.contains(.init("discarded", "the mailbox is full")))
    #expect(trace[1].detail.contains(.init("notification-to", "alice@own.test")))
    #expect(trace[2].detail.contains(.init("notification-to", "postmaster@own.test")))
  }

  @Test("of a failure whose sender is nobody here the postmaster hears")
  func nobody() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600", Self.refusing)
    rig.sink.nobody.withLock { $0 = "alice@own.test" }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.sink.all.map(\.recipient) == [rig.sink.postmaster])
    #expect(rig.sink.text(0).contains("Subject: Undeliverable notification\r\n"))
    #expect(rig.trace(of: message).map(\.kind) == [.attempted, .discarded, .notified, .bounced])
    #expect(rig.outcomes(of: message).map(\.isPermanent) == [true])
  }

  @Test("HOSTILE 16: a null path hears nothing; our own notification that fails goes to the postmaster, once")
  func nullPath() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600", Self.refusing)
    let foreign = rig.message(to: ["bob@d.test"], from: nil, notify: [.success, .failure, .delay])
    rig.submit(foreign)
    rig.run(.seconds(1))
    #expect(rig.sink.all.isEmpty)
    #expect(rig.trace(of: foreign).last?.kind == .discarded)

    rig.submit(rig.message(to: ["bob@d.test"]))
    rig.run(.seconds(1))
    let ours = try #require(rig.sink.all.first)
    rig.submit(rig.message(to: ["alice@own.test"], from: nil) { $0 = ours.envelope })
    rig.run(.seconds(1))
    #expect(rig.sink.all.count == 2)
    #expect(rig.sink.all[1].recipient.localPart == "postmaster" && rig.sink.all[1].envelope.reversePath == nil)
    rig.submit(rig.message(to: ["postmaster@own.test"], from: nil) { $0 = rig.sink.all[1].envelope })
    rig.run(.seconds(1))
    #expect(rig.sink.all.count == 2)
  }

  @Test(
    "NOTIFY decides who hears of failures",
    arguments: [([.never], 0), ([.success], 0), ([.failure], 1), ([], 1)] as [(NotificationRequest.Notify, Int)])
  func notify(_ notify: NotificationRequest.Notify, _ count: Int) throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600", Self.refusing)
    let message = rig.message(to: ["bob@d.test"], notify: notify)
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.sink.all.count == count)
    #expect(rig.outcomes(of: message).map(\.isPermanent) == [true])
  }

  @Test("failures of several destinations come in one notification")
  func gathered() throws {
    let rig = try Rig(routes: [("d.test", "smtp://192.0.2.1"), ("e.test", "smtp://192.0.2.2"), ("f.test", "smtp://192.0.2.3")])
    for index in 1...2 { _ = rig.host("192.0.2.\(index):25", Self.refusing) }
    _ = rig.host("192.0.2.3:25") { $0.delay = .seconds(2) }
    rig.submit(rig.message(to: ["bob@d.test", "bob@e.test", "bob@f.test"]))
    rig.run(.seconds(60))
    #expect(rig.sink.all.count == 1)
    #expect(rig.sink.text(0).contains("bob@d.test") && rig.sink.text(0).contains("bob@e.test"))
  }

  @Test("a delay is told once, after the time set for it")
  func delay() throws {
    let rig = try Rig(routes: Self.route)
    rig.start()
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(13_000))
    #expect(rig.sink.all.isEmpty)
    rig.run(.seconds(100_000))
    #expect(rig.sink.all.map(\.stage) == [.delayed])
    #expect(rig.sink.text(0).contains("Action: delayed\r\nStatus: 4.4.1\r\n"))
    #expect(rig.sink.text(0).contains("Will-Retry-Until:"))
    #expect(rig.trace(of: message).filter { $0.kind == .notified }.count == 1)
  }

  @Test("at the end of its lifetime a message is returned with the last reason")
  func expiry() throws {
    let rig = try Rig(routes: Self.route) { $0.retry.delayNotice = .zero }
    rig.start()
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(431_000))
    #expect(rig.queue.left == 1)
    rig.run(.seconds(2_000))
    #expect(rig.queue.left == 0)
    let last = try #require(rig.outcomes(of: message).last)
    #expect(last.reason.hasPrefix("550 5.4.7 Not delivered in 5 days; last: 451 4.4.1"))
    #expect(rig.sink.all.map(\.stage) == [.failed])
    // 5, 10, 20, ... minutes, then every 4 hours: some forty attempts in five days.
    #expect((30...45).contains(rig.outcomes(of: message).count))
  }

  @Test("success is confirmed by us where the next host does not, and LMTP is final", arguments: ["smtp", "lmtp", "dsn"])
  func success(_ kind: String) throws {
    let rig = try Rig(routes: [("*", "\(kind == "lmtp" ? "lmtp" : "smtp")://192.0.2.1:2600")])
    let host = rig.host("192.0.2.1:2600") {
      $0.isLMTP = kind == "lmtp"
      if kind == "dsn" { $0.keywords = ["PIPELINING", "DSN"] }
    }
    rig.submit(rig.message(to: ["bob@d.test"], notify: [.success]))
    rig.run(.seconds(1))
    if kind == "dsn" {
      #expect(rig.sink.all.isEmpty)
      #expect(host.commands.contains("RCPT TO:<bob@d.test> NOTIFY=SUCCESS"))
    } else {
      #expect(rig.sink.all.map(\.stage) == [kind == "lmtp" ? .delivered : .relayed])
      #expect(rig.sink.text(0).contains("Action: \(kind == "lmtp" ? "delivered" : "relayed")\r\nStatus: 2.0.0\r\n"))
      #expect(rig.sink.text(0).contains("Content-Type: text/rfc822-headers\r\n\r\nSubject: hello\r\n"))
    }
  }

  @Test(
    "a copy that went into a mailbox before the reply is confirmed to who asked for it, from the queue", arguments: [true, false])
  func localSuccess(_ isFresh: Bool) throws {
    let rig = try Rig()
    let message = rig.message(
      to: ["bob@own.test"], body: "Subject: x\r\n\r\nbody", notify: [.success], envelope: { $0.envelopeID = "E7" },
      age: .seconds(60),
      claimed: isFresh)
    var owed = message
    owed.entries[0].destination = QueuedRecipient.confirmation
    rig.queue.add(owed, ByteBuffer(string: "Subject: x\r\n\r\nbody"))
    // As a session hands it over, or as the next start finds it.
    if isFresh { rig.submit(owed) } else { rig.start() }
    rig.run(.seconds(1))
    #expect(rig.sink.all.map(\.stage) == [.delivered])
    let text = rig.sink.text(0)
    #expect(text.contains("Original-Envelope-Id: E7\r\nReporting-MTA: dns; mx.own.test\r\nArrival-Date: "))
    #expect(text.contains("\r\n\r\nFinal-Recipient: rfc822; bob@own.test\r\nAction: delivered\r\nStatus: 2.0.0\r\n"))
    #expect(text.contains("\r\n\r\nSubject: x\r\n\r\n--"))
    #expect(rig.outcomes(of: owed).map(\.isDelivered) == [true] && rig.queue.left == 0)
    #expect(rig.queue.state.withLock { $0.durable.count } == 1)
    #expect(rig.trace(of: owed).map(\.kind) == [.notified])
  }

  @Test("HOSTILE 16: 100 recipients that fail are one notification to the sender, whatever each asked for, and none to a null path")
  func manyRecipients() throws {
    for sender in ["victim@else.test", nil] {
      let rig = try Rig(routes: Self.route)
      _ = rig.host("192.0.2.1:2600", Self.refusing)
      let message = rig.message(to: (0..<100).map { "bob\($0)@d.test" }, from: sender, notify: [.success, .failure, .delay])
      rig.submit(message)
      rig.run(.seconds(120))
      #expect(rig.outcomes(of: message).count == 100 && rig.outcomes(of: message).allSatisfy(\.isPermanent))
      #expect(rig.sink.all.count == (sender == nil ? 0 : 1))
      if sender != nil { #expect(rig.sink.text(0).ranges(of: "Final-Recipient:").count == 100) }
    }
  }

  @Test("HOSTILE 16: notifications to one domain are spread over time")
  func pace() {
    var pace = NotificationPace(perHour: 2, domains: 10)
    let now = Timestamp(seconds: 1_000_000)
    let times = (0..<5).map { _ in pace.next(for: "d.test", now: now).since(now) }
    #expect(times == [.zero, .zero, .seconds(3_600), .seconds(3_600), .seconds(7_200)])
    #expect(pace.next(for: "e.test", now: now) == now)
  }

  @Test("a report reads as RFC 3464 and people want it")
  func golden() throws {
    let text = NotificationText(
      stage: .failed, hostname: "mx.own.test", id: QueueID(rawValue: 65_536), to: Rig.address("alice@own.test"),
      date: Timestamp(seconds: 1_767_225_600), boundary: "b", subject: QueueID(rawValue: 131_072),
      arrival: Timestamp(seconds: 1_767_225_500), envelopeID: "E1",
      recipients: [
        .init(
          address: Rig.address("bob@d.test"), originalRecipient: "rfc822;robert@d.test", status: "5.1.1",
          explanation: "mx.d.test [192.0.2.1:25] said: 550 5.1.1 No such user (in reply to RCPT TO)",
          diagnostic: .smtp("550 5.1.1 No such user"), remoteHost: "mx.d.test")
      ], original: Array("Subject: hi\r\n".utf8), isWhole: false, isDoubleBounce: false)
    let expected = """
      From: Mail Delivery System <postmaster@mx.own.test>
      To: <alice@own.test>
      Subject: Your message could not be delivered
      Date: Thu, 1 Jan 2026 00:00:00 +0000
      Message-ID: <\(QueueID(rawValue: 65_536))@mx.own.test>
      Auto-Submitted: auto-replied
      MIME-Version: 1.0
      Content-Type: multipart/report; report-type=delivery-status; boundary="b"

      --b
      Content-Type: text/plain; charset=utf-8

      This is the mail system at mx.own.test.

      Your message, which arrived here on
      Wed, 31 Dec 2025 23:58:20 +0000, could not be delivered to:

        bob@d.test
          mx.d.test [192.0.2.1:25] said: 550 5.1.1 No such user (in reply to RCPT
          TO)
          What to do: check the address for mistakes.

      It will not be tried again.
      The technical details follow. The message is known here as \(QueueID(rawValue: 131_072)).

      --b
      Content-Type: message/delivery-status

      Original-Envelope-Id: E1
      Reporting-MTA: dns; mx.own.test
      Arrival-Date: Wed, 31 Dec 2025 23:58:20 +0000

      Original-Recipient: rfc822;robert@d.test
      Final-Recipient: rfc822; bob@d.test
      Action: failed
      Status: 5.1.1
      Remote-MTA: dns; mx.d.test
      Diagnostic-Code: smtp; 550 5.1.1 No such user
      Last-Attempt-Date: Thu, 1 Jan 2026 00:00:00 +0000

      --b
      Content-Type: text/rfc822-headers

      Subject: hi

      --b--

      """
    #expect(String(decoding: text.bytes(), as: UTF8.self) == expected.replacing("\n", with: "\r\n"))
  }

  @Test("an international recipient is reported in ASCII, and shown as it is to people")
  func international() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600")
    rig.submit(rig.message(to: ["j\u{F6}rg@d.test"]))
    rig.run(.seconds(1))
    #expect(rig.sink.text(0).contains("Content-Type: message/delivery-status\r\n"))
    #expect(rig.sink.text(0).contains("Final-Recipient: utf-8; j\\x{F6}rg@d.test\r\nAction: failed\r\nStatus: 5.6.7\r\n"))
    #expect(rig.sink.text(0).contains("\r\n  j\u{F6}rg@d.test\r\n"))
    #expect(!rig.sink.all[0].isInternationalized && rig.sink.all[0].bodyType == .eightBitMIME)
  }

  @Test("hosts are named as RFC 3464 has it, and what we say ourselves is not called SMTP")
  func names() {
    for (host, field) in [
      ("192.0.2.1", "Remote-MTA: dns; [192.0.2.1]\r\n"), ("2001:db8::1", "Remote-MTA: dns; [IPv6:2001:db8::1]\r\n"),
      ("mx.d.test", "Remote-MTA: dns; mx.d.test\r\n"), ("/run/lmtp", nil),
    ] as [(String, String?)] {
      let text = NotificationText(
        stage: .delayed, hostname: "mx.own.test", id: QueueID(rawValue: 1), to: Rig.address("alice@own.test"),
        date: Timestamp(seconds: 0), boundary: "b", subject: QueueID(rawValue: 2), arrival: Timestamp(seconds: 0),
        retryUntil: Timestamp(seconds: 432_000), envelopeID: "E",
        recipients: [
          .init(
            address: Rig.address("a@d.test"), originalRecipient: "rfc822;b@d.test", status: "4.4.1", explanation: "x",
            diagnostic: .own("451 4.4.1 refused"), remoteHost: host, next: Timestamp(seconds: 60))
        ], original: Array("A: b\r\n".utf8), isWhole: false, isDoubleBounce: false)
      let written = String(decoding: text.bytes(), as: UTF8.self)
      #expect(field.map(written.contains) ?? !written.contains("Remote-MTA"))
      #expect(
        written.contains(
          """
          Original-Envelope-Id: E\r
          Reporting-MTA: dns; mx.own.test\r
          Arrival-Date: Thu, 1 Jan 1970 00:00:00 +0000\r
          \r
          Original-Recipient: rfc822;b@d.test\r
          Final-Recipient: rfc822; a@d.test\r
          Action: delayed\r
          Status: 4.4.1\r

          """))
      #expect(
        written.contains(
          """
          Diagnostic-Code: x-martlet; 451 4.4.1 refused\r
          Last-Attempt-Date: Thu, 1 Jan 1970 00:00:00 +0000\r
          Will-Retry-Until: Tue, 6 Jan 1970 00:00:00 +0000\r
          \r
          --b
          """))
    }
  }

  @Test(
    "what is returned is octet for octet what came, whatever its last line is",
    arguments: ["A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx", ""])
  func returned(_ original: String) {
    let text = NotificationText(
      stage: .failed, hostname: "mx.own.test", id: QueueID(rawValue: 1), to: Rig.address("alice@own.test"),
      date: Timestamp(seconds: 0), boundary: "b", subject: QueueID(rawValue: 2), arrival: Timestamp(seconds: 0),
      recipients: [.init(address: Rig.address("a@d.test"), status: "5.0.0", explanation: "x")],
      original: Array(original.utf8), isWhole: true, isDoubleBounce: false)
    let bytes = text.bytes()
    var observer = MessageObserver()
    bytes.withUnsafeBytes { observer.observe($0) }
    let parts = observer.finish().parts
    let returned = parts.first { $0.type == "message" && $0.subtype == "rfc822" }
    #expect(returned.map { Array(bytes[$0.bodyStart..<$0.bodyEnd]) } == Array(original.utf8))
    let report = parts.first { $0.subtype == "delivery-status" }
    #expect(report.map { bytes[$0.bodyStart..<$0.bodyEnd].suffix(2).elementsEqual([0x0D, 0x0A]) } == true)
  }

  @Test("a Latin-1 header comes back as it is, not as an international message")
  func foreignHeader() throws {
    let text = NotificationText(
      stage: .failed, hostname: "mx.own.test", id: QueueID(rawValue: 1), to: Rig.address("alice@own.test"),
      date: Timestamp(seconds: 0), boundary: "b", subject: QueueID(rawValue: 2), arrival: Timestamp(seconds: 0),
      recipients: [.init(address: Rig.address("a@d.test"), status: "5.0.0", explanation: "x")],
      original: Array("Subject: ".utf8) + [0xE9, 0x0D, 0x0A, 0x0D, 0x0A], isWhole: true, isDoubleBounce: false)
    #expect(!text.isInternational && text.hasEightBit)
  }

  @Test("a remote's reply can neither forge a field nor break a line")
  func forging() {
    let text = NotificationText(
      stage: .failed, hostname: "mx.own.test", id: QueueID(rawValue: 1), to: Rig.address("alice@own.test"),
      date: Timestamp(seconds: 0),
      boundary: "b", subject: QueueID(rawValue: 2), arrival: Timestamp(seconds: 0), envelopeID: "x\r\nEvil: 1",
      recipients: [
        .init(
          address: Rig.address("a\r\nEvil: 2@d.test"), originalRecipient: "rfc822;\r\n\r\n--b--", status: "5.0.0",
          explanation: "x\r\n--b--\r\n", diagnostic: .smtp("550 \u{0}\r\nEvil: 3"), remoteHost: nil)
      ], original: [], isWhole: false, isDoubleBounce: false)
    let lines = String(decoding: text.bytes(), as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(!lines.contains { $0.hasPrefix("Evil") })
    #expect(lines.filter { $0 == "--b--" }.count == 1)
  }
}
