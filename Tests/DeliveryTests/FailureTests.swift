import MailModel
import NIOCore
import Outside
import Testing

@testable import Delivery

@Suite struct FailureTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]

  @Test("a host that refuses is followed by the next in preference")
  func nextHost() throws {
    let rig = try Rig(dns: ["d.test": [(10, "a.test", "192.0.2.1"), (20, "b.test", "192.0.2.2")]])
    let host = rig.host("192.0.2.2:25")
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.messages.count == 1)
    #expect(rig.dialer.dialled.withLock { $0 } == ["192.0.2.1:25", "192.0.2.2:25"])
    #expect(
      rig.trace(of: message).last?.detail.contains(
        .init("dns", "MX 10 a.test; MX 20 b.test; A a.test 192.0.2.1; A b.test 192.0.2.2")) == true)
  }

  @Test("null MX and domains that do not exist bounce at once, a failed look-up waits")
  func noRoute() throws {
    let rig = try Rig()
    let message = rig.message(to: ["bob@gone.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.reason) == ["550 5.1.2 Domain gone.test does not exist"])
    #expect(rig.sink.text(0).contains("Status: 5.1.2"))
  }

  @Test(
    "HOSTILE 36: an hour of SERVFAIL, for MX or for addresses, defers; then the mail goes where it should",
    arguments: [[.mx], [.a, .aaaa]] as [Set<DNSRecordType>])
  func servfail(types: Set<DNSRecordType>) throws {
    // What stands under the domain itself must not be taken meanwhile for a domain without MX.
    let rig = try Rig(
      dns: ["d.test": [(10, "a.test", "192.0.2.1")], "x.test": [(10, "d.test", "192.0.2.9")]],
      servfail: types)
    let host = rig.host("192.0.2.1:25")
    let other = rig.host("192.0.2.9:25")
    let message = rig.message(to: ["bob@d.test"])
    rig.start()
    rig.submit(message)
    rig.run(.seconds(3_590))
    #expect(rig.outcomes(of: message).count > 1 && rig.outcomes(of: message).allSatisfy(\.isTransient))
    #expect(host.messages.isEmpty && other.messages.isEmpty && rig.sink.all.isEmpty)
    rig.run(.seconds(7_200))
    #expect(host.messages.count == 1 && other.messages.isEmpty && rig.queue.left == 0)
  }

  @Test("HOSTILE 38: an unknown outcome behind the dot is tried again, never lost")
  func behindTheDot() throws {
    let rig = try Rig(routes: Self.route) { $0.retry.firstRetry = .seconds(60) }
    let host = rig.host("192.0.2.1:2600") { $0.ends = [nil, "250 2.0.0 taken"] }
    let message = rig.message(to: ["bob@d.test"])
    rig.start()
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    rig.run(.seconds(200))
    #expect(host.messages.count == 1)
    #expect(rig.queue.left == 0)
  }

  @Test("HOSTILE 38: a reply before the message was sent is not taken for one to its end")
  func earlyReply() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600") { $0.replies = [("DATA", "354 go\r\n250 2.0.0 surely")] }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
  }

  @Test(
    "HOSTILE 38: replies that are rubbish, disagree, or go on for 10 MB end the connection",
    arguments: [
      "hello", "250-a\r\n550 b", "999 x", "25", "\u{FF}\u{FE}50 \0", "2\u{B2}0 ok", "200 lines", "10 MB of lines",
      "a line of 10 MB",
    ])
  func rubbish(_ kind: String) throws {
    let rig = try Rig(routes: Self.route)
    let reply =
      switch kind {
      case "200 lines": String(repeating: "250-x\r\n", count: 200)
      case "10 MB of lines": String(repeating: "250-\(String(repeating: "x", count: 1_000))\r\n", count: 10_000)
      case "a line of 10 MB": "250 \(String(repeating: "y", count: 10_000_000))"
      default: kind
      }
    _ = rig.host("192.0.2.1:2600") { $0.replies = [("RCPT", reply)] }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(320))
    #expect(rig.outcomes(of: message).first?.isTransient == true)
    #expect(rig.outcomes(of: message)[0].reason.hasPrefix("451 4.4.2"))
  }

  @Test("HOSTILE 38: text beyond ASCII in a reply is shown escaped or replaced, and decides nothing")
  func foreignText() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600") { $0.replies = [("RCPT", "550 5.1.1 n\u{F6} such \u{1B}[2J user\u{202E}")] }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.isPermanent) == [true])
    let reason = rig.outcomes(of: message)[0].reason
    #expect(reason.contains("550 5.1.1 n") && !reason.contains("\u{1B}"), "\(reason.debugDescription)")
  }

  @Test("HOSTILE 38: a host that says nothing behind the dot is left at the deadline, and the message is tried again")
  func silenceBehindTheDot() throws {
    let rig = try Rig(routes: Self.route) { $0.retry.firstRetry = .seconds(60) }
    let host = rig.host("192.0.2.1:2600") { $0.isSilentBehindTheDot = true }
    let message = rig.message(to: ["bob@d.test"])
    rig.start()
    rig.submit(message)
    rig.run(.seconds(900))
    #expect(rig.outcomes(of: message).first?.isTransient == true && rig.queue.left == 1)
    host.script.withLock { $0.isSilentBehindTheDot = false }
    rig.run(.seconds(3_600))
    // What came twice came twice: the first was taken for all that can be known (RFC 5321, 4.1.1.4).
    #expect(rig.queue.left == 0 && rig.outcomes(of: message).last?.isDelivered == true)
  }

  @Test("HOSTILE 39: a tarpit is left at its deadline")
  func tarpit() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(60) }
    host.script.withLock { $0.replies = [("RCPT", "250-\(String(repeating: "x\r\n250-", count: 90))x")] }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(440))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    host.seen.withLock { #expect($0.open == 0) }
  }

  @Test("a failed handshake goes on in clear at once, and is remembered")
  func brokenTLS() throws {
    let rig = try Rig(routes: Self.route, hasTLS: true)
    let host = rig.host("192.0.2.1:2600") {
      $0.keywords = ["PIPELINING", "STARTTLS"]
      $0.tls = .failed("no shared cipher")
    }
    let first = rig.message(to: ["bob@d.test"])
    rig.submit(first)
    rig.run(.seconds(20))
    rig.submit(rig.message(to: ["bob@d.test"]))
    rig.run(.seconds(20))
    #expect(host.messages.map(\.isEncrypted) == [false, false])
    host.seen.withLock { #expect($0.connections == 3 && $0.commands.filter { $0 == "STARTTLS" }.count == 1) }
    rig.run(.seconds(3_700))
    host.script.withLock { $0.tls = .established(TLSFacts(version: "TLSv1.3", cipher: "X")) }
    let third = rig.message(to: ["bob@d.test"])
    rig.submit(third)
    rig.run(.seconds(20))
    #expect(host.messages.last?.isEncrypted == true)
    #expect(rig.trace(of: third).last?.detail.contains(.init("tls", "TLSv1.3 X")) == true)
  }

  @Test("where TLS is required there is no clear", arguments: ["required", "verified"])
  func requiredTLS(_ level: String) throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:2600?tls=\(level)")], hasTLS: true)
    let host = rig.host("192.0.2.1:2600") {
      $0.keywords = ["STARTTLS"]
      $0.tls = .failed("no")
    }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(20))
    #expect(host.messages.isEmpty)
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
  }

  @Test("HOSTILE 40: something in clear behind the reply to STARTTLS ends the connection")
  func injection() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:2600?tls=required")], hasTLS: true)
    let host = rig.host("192.0.2.1:2600") {
      $0.keywords = ["STARTTLS"]
      $0.replies = [("STARTTLS", "220 go\r\n250-evil\r\n250 AUTH PLAIN")]
    }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(20))
    #expect(host.messages.isEmpty)
    #expect(rig.outcomes(of: message)[0].reason.contains("in clear behind its reply to STARTTLS"))
  }

  @Test("HOSTILE 39: 1,000 dead destinations with 100 messages each do not delay a live one", .timeLimit(.minutes(1)))
  func deadDestinations() throws {
    var dns: [String: [(UInt16, String, String)]] = ["live.test": [(10, "mx.live.test", "192.0.2.1")]]
    for index in 0..<1_000 { dns["dead\(index).test"] = [(10, "mx.dead\(index).test", "198.51.\(index / 250).\(index % 250)")] }
    let rig = try Rig(dns: dns)
    for index in 0..<1_000 { rig.dialer.set("198.51.\(index / 250).\(index % 250):25", .dead) }
    let host = rig.host("192.0.2.1:25")
    rig.start()
    for _ in 0..<100 { for index in 0..<1_000 { rig.submit(rig.message(to: ["x@dead\(index).test"])) } }
    rig.run(.milliseconds(500))
    rig.submit(rig.message(to: ["bob@live.test"]))
    rig.run(.milliseconds(900))
    #expect(host.messages.count == 1)
    // Later, when all of them are known to be dead.
    rig.run(.seconds(120))
    rig.submit(rig.message(to: ["bob@live.test"]))
    rig.run(.milliseconds(900))
    #expect(host.messages.count == 2)
  }

  @Test("a dead destination is not dialled for every message; a probe finds it alive again")
  func circuit() throws {
    let rig = try Rig(routes: Self.route) { $0.retry.firstRetry = .seconds(10) }
    rig.start()
    for _ in 0..<50 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(5))
    #expect(rig.dialer.dialled.withLock { $0.count } < 10)
    // Those that were not tried count no attempt, and say why they wait all the same.
    let outcomes = rig.queue.records.map(\.outcome)
    #expect(outcomes.count == 50 && outcomes.allSatisfy { $0.isTransient || $0.isSkipped })
    #expect(outcomes.filter(\.isTransient).count < 10)
    rig.queue.state.withLock { state in
      #expect(state.entries.values.allSatisfy { $0.lastReply.contains("failed") })
      #expect(state.entries.values.filter { $0.attempts == 0 }.count > 40)
    }
    let host = rig.host("192.0.2.1:2600")
    rig.run(.seconds(600))
    #expect(host.messages.count == 50)
    #expect(rig.queue.left == 0)
  }

  @Test("retry by hand opens a closed circuit")
  func flush() throws {
    let rig = try Rig(routes: Self.route)
    rig.start()
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(5))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    let host = rig.host("192.0.2.1:2600")
    rig.queue.state.withLock { state in
      for id in state.entries.keys { state.entries[id]?.nextAttempt = rig.executor.clock.now() }
    }
    let scheduler = rig.scheduler
    _ = Task(executorPreference: rig.executor) { scheduler.queueChanged() }
    rig.run(.seconds(1))
    #expect(host.messages.count == 1)
  }

  @Test("a store that can't record keeps nothing from being delivered, and learns it later")
  func failingStore() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600")
    rig.start()
    rig.run(.seconds(1))
    rig.queue.state.withLock { $0.failsToRecord = true }
    for _ in 0..<3 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(30))
    #expect(host.messages.count == 3)
    #expect(rig.queue.left == 3)
    rig.queue.state.withLock { $0.failsToRecord = false }
    rig.run(.seconds(90))
    #expect(rig.queue.left == 0)
    #expect(host.messages.count == 3)
  }

  @Test(
    "8-bit for a 7-bit host is re-encoded, or returned where that would break a signature", arguments: [true, false], [0, 30_000])
  func eightBit(isClaimed: Bool, lines: Int) throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") { $0.keywords = ["PIPELINING"] }
    let text = "Subject: x\r\n\r\n" + String(repeating: "line\r\n", count: lines) + "Gr\u{FC}\u{DF}e\r\n"
    let message = rig.message(to: ["bob@d.test"], body: text, census: BodyCensus(hasEightBitBody: true), claimed: !isClaimed)
    let signed = rig.message(
      to: ["carol@d.test"], body: "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{FC}\r\n--b--\r\n",
      census: BodyCensus(hasEightBitBody: true), claimed: !isClaimed)
    if isClaimed {
      rig.start()
    } else {
      rig.submit(message)
      rig.submit(signed)
    }
    rig.run(.seconds(1))
    #expect(host.messages.count == 1)
    let sent = host.messages.first.map { String(decoding: $0.data, as: UTF8.self) } ?? ""
    #expect(sent.contains("Content-Transfer-Encoding: quoted-printable\r\n\r\n\(lines > 0 ? "line" : "Gr=C3=BC")"))
    #expect(sent.hasSuffix("Gr=C3=BC=C3=9Fe\r\n"))
    #expect(rig.outcomes(of: message).map(\.isDelivered) == [true])
    #expect(rig.outcomes(of: signed).first?.reason.hasPrefix("554 5.6.3") == true)
  }

  @Test("HOSTILE 2: a stored message with a bare LF is refused, not sent")
  func bareLF() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600")
    let message = rig.message(to: ["bob@d.test"], body: "Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil@x>\r\n")
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.messages.isEmpty)
    #expect(rig.outcomes(of: message)[0].reason.hasPrefix("554 5.6.11"))
  }

  @Test("stopping lets go of what was not tried and ends")
  func stop() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(1) }
    for _ in 0..<10 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.milliseconds(500))
    let scheduler = rig.scheduler
    let clock = rig.executor.clock
    try rig.executor.run { await scheduler.stop(until: clock.monotonic().advanced(by: .seconds(60))) }
    host.seen.withLock { #expect($0.open == 0) }
    #expect(rig.queue.records.map(\.outcome).allSatisfy { !$0.isPermanent && !$0.isTransient })
  }
}
