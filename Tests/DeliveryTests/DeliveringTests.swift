import MailModel
import MailStore
import NIOCore
import Outside
import Testing

@testable import Delivery

@Suite struct DeliveringTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]

  @Test("a fresh message goes out without a read from the store, and its removal is recorded lazily with the exact reply")
  func fresh() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600")
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.messages.map(\.recipients) == [["bob@d.test"]])
    #expect(String(decoding: host.messages[0].data, as: UTF8.self) == "Subject: hello\r\n\r\nHello.\r\n.dot\r\n")
    #expect(rig.outcomes(of: message) == [.delivered(reply: "250 2.0.0 taken")])
    rig.queue.state.withLock { state in
      #expect(state.reads == 0 && state.claims == 0 && state.durable.isEmpty && state.entries.isEmpty)
    }
    let relayed = rig.trace(of: message).filter { $0.kind == .relayed }
    #expect(relayed.count == 1)
    #expect(relayed.first?.detail.contains(.init("reply", "250 2.0.0 taken")) == true)
    #expect(relayed.first?.detail.contains(.init("route", "route smtp://192.0.2.1:2600")) == true)
    #expect(relayed.first?.detail.contains(.init("tls", "none")) == true)
  }

  @Test("the next message rides behind the final dot, in the same write")
  func riding() throws {
    let rig = try Rig(routes: Self.route) { $0.limits.connectionsPerDestination = 1 }
    let host = rig.host("192.0.2.1:2600")
    for _ in 0..<20 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(2))
    #expect(host.messages.count == 20)
    host.seen.withLock { seen in
      #expect(seen.connections == 1)
      #expect(seen.writes.filter { $0.contains("\r\n.\r\nMAIL FROM") }.count == 19)
      // EHLO, the first envelope, a body for each, QUIT.
      #expect(seen.writes.count <= 24)
    }
    #expect(rig.queue.left == 0)
  }

  @Test("claimed messages are read in pages and arrive whole", arguments: [["PIPELINING"], ["PIPELINING", "CHUNKING"], []])
  func claimed(_ keywords: [String]) throws {
    let rig = try Rig(routes: Self.route) { $0.limits.page = 65_536 }
    let host = rig.host("192.0.2.1:2600") { $0.keywords = keywords }
    let line = ".This line begins with a dot and is of some length, so that pages end within lines.\r\n"
    let body = "Subject: large\r\n\r\n" + String(repeating: line, count: 6_000)
    let message = rig.message(to: ["bob@d.test"], body: body, claimed: false)
    rig.start()
    rig.run(.seconds(5))
    #expect(host.messages.count == 1)
    #expect(host.messages.first.map { String(decoding: $0.data, as: UTF8.self) == body } == true)
    #expect(rig.outcomes(of: message).map(\.isDelivered) == [true])
    rig.queue.state.withLock { #expect($0.reads > 5) }
  }

  @Test("a connection that is not used is closed with QUIT after a while, and used again before")
  func reuse() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600")
    rig.submit(rig.message(to: ["bob@d.test"]))
    rig.run(.seconds(2))
    rig.submit(rig.message(to: ["carol@d.test"]))
    rig.run(.seconds(2))
    #expect(host.messages.count == 2)
    host.seen.withLock { #expect($0.connections == 1 && $0.open == 1) }
    rig.run(.seconds(10))
    host.seen.withLock { #expect($0.open == 0 && $0.commands.last == "QUIT") }
  }

  @Test("a host that closes an idle connection costs the next message nothing but another one")
  func closedIdle() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") { $0.messagesPerConnection = 1 }
    for _ in 0..<5 {
      rig.submit(rig.message(to: ["bob@d.test"]))
      rig.run(.seconds(1))
    }
    for _ in 0..<5 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(20))
    #expect(host.messages.count == 10)
    #expect(rig.queue.records.map(\.outcome).allSatisfy { $0.isDelivered })
  }

  @Test("a connection that rests takes every message that comes, however they fall", arguments: 1...20)
  func noLostWakeUp(_ seed: Int) throws {
    let rig = try Rig(seed: UInt64(seed), routes: Self.route) { $0.limits.firstConnections = 2 }
    let host = rig.host("192.0.2.1:2600")
    for round in 1...40 {
      rig.submit(rig.message(to: ["bob@d.test"]))
      if round % 3 == 0 { rig.submit(rig.message(to: ["bob@d.test"])) }
      rig.run(.milliseconds(300))
      #expect(rig.queue.left == 0)
    }
    host.seen.withLock { #expect($0.connections <= 3) }
  }

  @Test("recipients of one message and one route share a transaction; each has its own outcome")
  func outcomes() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") {
      $0.replies = [
        ("RCPT TO:<gone@", "550 5.1.1 No such user"), ("RCPT TO:<full@", "452 4.2.2 Mailbox full"),
      ]
    }
    let message = rig.message(to: ["bob@d.test", "gone@d.test", "full@e.test", "carol@f.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.messages.map(\.recipients) == [["bob@d.test", "carol@f.test"]])
    let outcomes = rig.outcomes(of: message)
    #expect(outcomes.map(\.isDelivered) == [true, false, false, true])
    #expect(outcomes[1].isPermanent && outcomes[1].reason.contains("550 5.1.1 No such user (in reply to RCPT TO)"))
    #expect(outcomes[2].isTransient && outcomes[2].reason.contains("452 4.2.2"))
    #expect(rig.sink.all.count == 1)
    #expect(rig.sink.text(0).contains("Final-Recipient: rfc822; gone@d.test"))
    #expect(!rig.sink.text(0).contains("bob@d.test") && !rig.sink.text(0).contains("full@e.test"))
    #expect(rig.queue.left == 1)
  }

  @Test("more recipients than a host takes at once go out in several transactions, none deferred")
  func manyRecipients() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") { $0.keywords = ["PIPELINING", "LIMITS RCPTMAX=30"] }
    let message = rig.message(to: (0..<250).map { "r\($0)@d.test" })
    rig.submit(message)
    rig.run(.seconds(5))
    #expect(host.messages.flatMap(\.recipients).count == 250)
    #expect(host.messages.allSatisfy { $0.recipients.count <= 30 })
    #expect(rig.outcomes(of: message).allSatisfy { $0.isDelivered })
  }

  @Test("LMTP over a Unix socket, one answer a recipient")
  func lmtp() throws {
    let rig = try Rig(routes: [("*", "lmtp+unix:///run/lmtp")])
    let host = rig.host("unix:/run/lmtp") {
      $0.isLMTP = true
      $0.ends = ["250 2.0.0 ok", "550 5.2.1 disabled"]
    }
    let message = rig.message(to: ["bob@d.test", "carol@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.commands.first == "LHLO mx.own.test")
    #expect(rig.outcomes(of: message).map(\.isDelivered) == [true, false])
  }

  @Test("what may live here is asked of the host itself")
  func local() throws {
    struct Here: LocalDestination {
      func isLocal(_ domain: String) -> Bool { domain == "here.test" }
      func resolve(_ entry: QueueEntry, of message: QueuedMessage) async -> LocalResolution {
        switch entry.address.localPart {
        case "bob": .deliver(LocalDelivery(account: AccountID(rawValue: 7), recipient: entry.address))
        case "list": .expanded(into: QueueID(rawValue: 99))
        case "full": .transient(reason: "452 4.2.2 full")
        default: .permanent(reason: "550 5.1.1 no such user here")
        }
      }
    }
    let rig = try Rig(local: Here())
    let message = rig.message(to: ["bob@here.test", "list@here.test", "full@here.test", "gone@here.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    let outcomes = rig.outcomes(of: message)
    #expect(outcomes[0] == .deliveredLocally(LocalDelivery(account: AccountID(rawValue: 7), recipient: message.entries[0].address)))
    #expect(outcomes[1].isDelivered && outcomes[2].isTransient && outcomes[3].isPermanent)
  }

  @Test("fresh messages beyond what memory may hold wait in the queue, and go out in their turn")
  func freshBeyondMemory() throws {
    let rig = try Rig(routes: Self.route) { settings in
      settings.limits.jobs = 3
      settings.limits.claim = 2
    }
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(1) }
    rig.start()
    for _ in 0..<12 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.milliseconds(500))
    #expect(rig.scheduler.holding.jobs > 0)
    #expect(rig.scheduler.holding.jobs <= 5)
    rig.run(.seconds(300))
    #expect(host.messages.count == 12)
    #expect(rig.queue.left == 0)
    #expect(rig.scheduler.holding.jobs == 0)
  }

  @Test("the same seed makes the same run")
  func replay() throws {
    func run() throws -> [String] {
      let rig = try Rig(
        seed: 7, dns: ["d.test": [(10, "a.test", "192.0.2.1"), (10, "b.test", "192.0.2.2"), (10, "c.test", "192.0.2.3")]])
      for index in 1...3 { _ = rig.host("192.0.2.\(index):25") { $0.messagesPerConnection = 2 } }
      for index in 0..<30 { rig.submit(rig.message(to: ["r\(index)@d.test"])) }
      rig.run(.seconds(60))
      return rig.dialer.dialled.withLock { $0 } + rig.queue.records.map { "\($0.entry.rawValue)" }
    }
    #expect(try run() == run())
  }
}
