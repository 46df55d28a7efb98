import MailModel
import NIOCore
import Outside
import Testing

@testable import Delivery

/// Connections belong to the host, whatever domains, MX sets and names lead to it.
@Suite struct HostSharingTests {
  @Test("domains with MX sets of their own that share a host share its window")
  func sharedHost() throws {
    var dns: [String: [(UInt16, String, String)]] = [:]
    for index in 0..<50 {
      dns["d\(index).test"] = [(10, "mx.provider.test", "192.0.2.1"), (20, "backup\(index).test", "198.51.100.\(index)")]
    }
    let rig = try Rig(dns: dns) { $0.limits.connectionsPerDestination = 6 }
    let host = rig.host("192.0.2.1:25") { $0.delay = .milliseconds(100) }
    for _ in 0..<4 { for index in 0..<50 { rig.submit(rig.message(to: ["bob@d\(index).test"])) } }
    rig.run(.seconds(120))
    #expect(host.messages.count == 200)
    // A host that is busy is waited for: its backups are for when it is out of reach.
    #expect(Set(rig.dialer.dialled.withLock { $0 }) == ["192.0.2.1:25"])
    host.seen.withLock { #expect($0.peak == 6) }
    #expect(rig.queue.records.map(\.outcome).allSatisfy { $0.isDelivered })
  }

  @Test("10,000 domains with a name each for one machine get one window, and share connections", .timeLimit(.minutes(1)))
  func oneMachine() throws {
    var dns: [String: [(UInt16, String, String)]] = [:]
    for index in 0..<10_000 { dns["d\(index).test"] = [(10, "d\(index)-test.mail.provider.test", "192.0.2.1")] }
    let rig = try Rig(dns: dns)
    let host = rig.host("192.0.2.1:25") { $0.delay = .milliseconds(10) }
    for index in 0..<10_000 { rig.submit(rig.message(to: ["bob@d\(index).test"])) }
    rig.run(.seconds(300))
    #expect(host.messages.count == 10_000)
    host.seen.withLock { seen in
      #expect(seen.peak == 20)
      // Each carries 100 messages, of whatever domain.
      #expect(seen.connections <= 140)
    }
    #expect(rig.queue.left == 0)
  }

  @Test("an address that several names have in part gets one window from all of them")
  func overlappingAddresses() throws {
    let rig = try Rig(
      dns: [
        "a.test": [(10, "one.test", "192.0.2.1"), (10, "one.test", "192.0.2.2")], "b.test": [(10, "two.test", "192.0.2.2")],
        "c.test": [(10, "three.test", "192.0.2.2"), (10, "three.test", "192.0.2.3")],
      ]
    ) { $0.limits.connectionsPerDestination = 5 }
    let hosts = (1...3).map { rig.host("192.0.2.\($0):25") { $0.delay = .milliseconds(100) } }
    for _ in 0..<60 { for domain in ["a", "b", "c"] { rig.submit(rig.message(to: ["bob@\(domain).test"])) } }
    rig.run(.seconds(120))
    #expect(hosts.reduce(0) { $0 + $1.messages.count } == 180)
    for host in hosts { host.seen.withLock { #expect($0.peak <= 5) } }
    hosts[1].seen.withLock { #expect($0.peak == 5) }
  }

  @Test("a pool that waits for a host gets the place of a connection that rests there, and each has its turn")
  func turns() throws {
    let rig = try Rig(
      dns: [
        "a.test": [(10, "mx.test", "192.0.2.1"), (20, "a.test", "192.0.2.7")],
        "b.test": [(10, "mx.test", "192.0.2.1"), (20, "b.test", "192.0.2.8")],
      ]
    ) {
      $0.limits.connectionsPerDestination = 1
      $0.limits.messagesPerConnection = 2
    }
    let host = rig.host("192.0.2.1:25") { $0.delay = .milliseconds(10) }
    rig.submit(rig.message(to: ["x@a.test"]))
    rig.run(.seconds(1))
    // The connection rests now, for five seconds.
    rig.submit(rig.message(to: ["x@b.test"]))
    rig.run(.seconds(1))
    #expect(host.messages.count == 2)
    for _ in 0..<6 { for domain in ["a", "b"] { rig.submit(rig.message(to: ["y@\(domain).test"])) } }
    rig.run(.seconds(20))
    let order = host.messages.dropFirst(2).map { $0.recipients[0].suffix(6) }
    #expect(order.count == 12)
    #expect(Set(order.prefix(5)).count == 2, "one of them waited for all of the other: \(order)")
    host.seen.withLock { #expect($0.peak == 1) }
  }

  @Test("a dead machine is not dialled anew for each name and MX set that leads to it; a probe finds it alive again")
  func deadMachine() throws {
    var dns: [String: [(UInt16, String, String)]] = [:]
    for index in 0..<200 {
      dns["d\(index).test"] = [(10, "mx\(index).test", "192.0.2.1"), (UInt16(20 + index), "mx.test", "192.0.2.1")]
    }
    let rig = try Rig(dns: dns) { $0.retry.firstRetry = .seconds(60) }
    rig.dialer.set("192.0.2.1:25", .dead)
    rig.start()
    for index in 0..<200 { rig.submit(rig.message(to: ["bob@d\(index).test"])) }
    rig.run(.seconds(100))
    #expect(rig.dialer.dialled.withLock { $0.count } <= 10)
    rig.queue.state.withLock { state in
      #expect(state.entries.values.filter { $0.attempts > 0 }.count <= 10)
      #expect(state.entries.values.filter { $0.lastReply.contains("no answer in time") }.count > 150)
    }
    let host = rig.host("192.0.2.1:25")
    rig.run(.seconds(7_200))
    #expect(host.messages.count == 200)
  }

  @Test("a slow provider of many domains does not fill the memory: those beyond what may wait go back untried, and all arrive")
  func crowd() throws {
    var dns: [String: [(UInt16, String, String)]] = [:]
    for index in 0..<100 {
      dns["d\(index).test"] = [(10, "mx.provider.test", "192.0.2.1"), (20, "backup.test", "198.51.100.\(index)")]
    }
    let rig = try Rig(dns: dns) {
      $0.limits.connectionsPerDestination = 2
      $0.limits.poolsWaitingPerHost = 10
    }
    let host = rig.host("192.0.2.1:25") { $0.delay = .seconds(1) }
    rig.start()
    for index in 0..<100 { rig.submit(rig.message(to: ["bob@d\(index).test"])) }
    rig.run(.seconds(1))
    #expect(rig.scheduler.jobs <= 20)
    rig.run(.seconds(1_500))
    #expect(host.messages.count == 100)
    #expect(rig.queue.records.allSatisfy { $0.outcome.isDelivered || $0.outcome.isReturned })
    host.seen.withLock { #expect($0.peak == 2) }
  }

  @Test("a domain whose MX records name a dead host beside somebody else's does that one no harm")
  func borrowedHost() throws {
    let rig = try Rig(
      dns: [
        "evil.test": [(10, "dead.test", "198.51.100.1"), (20, "mx.good.test", "192.0.2.1")],
        "good.test": [(10, "mx.good.test", "192.0.2.1")],
      ])
    rig.dialer.set("198.51.100.1:25", .dead)
    let host = rig.host("192.0.2.1:25")
    for _ in 0..<100 { rig.submit(rig.message(to: ["x@evil.test"])) }
    rig.run(.seconds(10))
    rig.submit(rig.message(to: ["bob@good.test"]))
    rig.run(.seconds(1))
    #expect(host.messages.map(\.recipients) == [["bob@good.test"]])
    rig.run(.seconds(200))
    #expect(host.messages.count == 101)
  }
}

/// How many connections a host gets.
@Suite struct WindowTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]

  private static func gate() -> HostGate { HostGate(limits: DeliveryLimits(), times: DeliveryTimes(), now: .init(nanoseconds: 0)) }
  private static func second(_ count: UInt64) -> MonotonicInstant { .init(nanoseconds: count * 1_000_000_000) }

  @Test("the window begins small and grows by one with each message taken, to its bound")
  func growth() {
    let gate = Self.gate()
    #expect(gate.window == 4)
    for _ in 0..<10 { gate.succeeded(at: Self.second(1)) }
    #expect(gate.window == 14)
    for _ in 0..<10 { gate.succeeded(at: Self.second(1)) }
    #expect(gate.window == 20)
  }

  @Test("4xx takes one away, and nothing grows for half a minute")
  func deferral() {
    let gate = Self.gate()
    for _ in 0..<16 { gate.succeeded(at: Self.second(1)) }
    for _ in 0..<5 { gate.deferred(at: Self.second(2)) }
    #expect(gate.window == 15)
    gate.succeeded(at: Self.second(31))
    #expect(gate.window == 15)
    gate.succeeded(at: Self.second(32))
    #expect(gate.window == 16)
    for _ in 0..<50 { gate.deferred(at: Self.second(40)) }
    #expect(gate.window == 1 && !gate.isClosed(at: Self.second(40)))
  }

  @Test("421 and silence halve it; a connection too many takes it back to those that work")
  func failure() {
    let gate = Self.gate()
    for _ in 0..<16 { gate.succeeded(at: Self.second(1)) }
    for _ in 0..<16 { gate.enter(at: Self.second(1)) }
    for _ in 0..<12 { gate.establish() }
    gate.failed(DeliveryProblem("421"), wasEstablished: true, at: Self.second(2))
    #expect(gate.window == 8)
    for _ in 0..<20 { gate.succeeded(at: Self.second(60)) }
    gate.failed(DeliveryProblem("421"), wasEstablished: false, at: Self.second(61))
    #expect(gate.window == 12)
    // While others work no circuit opens.
    #expect(!gate.isClosed(at: Self.second(61)))
  }

  @Test("the circuit opens after two failures, and pauses twice as long after each probe that fails")
  func circuit() {
    let gate = Self.gate()
    func fail(_ second: UInt64) {
      gate.enter(at: Self.second(second))
      gate.failed(DeliveryProblem("451"), wasEstablished: false, at: Self.second(second))
      gate.leave(wasEstablished: false)
    }
    fail(0)
    #expect(!gate.isClosed(at: Self.second(0)))
    fail(1)
    #expect(gate.isClosed(at: Self.second(30)) && !gate.isClosed(at: Self.second(31)))
    // One probe goes alone.
    guard case .open = gate.access(at: Self.second(31)) else { return #expect(Bool(false)) }
    gate.enter(at: Self.second(31))
    guard case .closed = gate.access(at: Self.second(31)) else { return #expect(Bool(false)) }
    gate.leave(wasEstablished: false)
    fail(31)
    #expect(gate.isClosed(at: Self.second(90)) && !gate.isClosed(at: Self.second(91)))
    gate.succeeded(at: Self.second(92))
    guard case .open = gate.access(at: Self.second(92)) else { return #expect(Bool(false)) }
  }

  @Test("a host that bears five connections gets five, hears little of more, and defers nothing")
  func tooMany() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") {
      $0.mostConnections = 5
      $0.delay = .milliseconds(50)
    }
    for _ in 0..<400 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(120))
    #expect(host.messages.count == 400)
    #expect(rig.queue.records.map(\.outcome).allSatisfy { $0.isDelivered })
    host.seen.withLock { #expect($0.turnedAway > 0 && $0.turnedAway <= 10) }
  }

  @Test(
    "a host that is slow, says 421 or defers gets fewer connections than before",
    arguments: ["421 4.3.2 overloaded", "451 4.3.2 overloaded", nil])
  func shrinking(_ reply: String?) throws {
    let rig = try Rig(routes: Self.route) {
      $0.times.mail = .seconds(10)
      $0.limits.jobsPerDestination = 10_000
    }
    rig.start()
    let host = rig.host("192.0.2.1:2600") { $0.delay = .milliseconds(100) }
    for _ in 0..<600 { rig.submit(rig.message(to: ["bob@d.test"])) }
    rig.run(.seconds(5))
    host.seen.withLock { #expect($0.open == 20) }
    // Half of what it has now is refused, or nothing is said at all.
    host.script.withLock { script in
      if let reply { script.replies = [("MAIL", reply)] } else { script.isSilent = true }
    }
    rig.run(.seconds(15))
    host.script.withLock {
      $0.replies = []
      $0.isSilent = false
    }
    rig.run(.seconds(1))
    host.seen.withLock { #expect($0.open <= 10, "\($0.open)") }
  }

  @Test("4xx to a mailbox says nothing of the host")
  func mailboxes() throws {
    let rig = try Rig(routes: Self.route)
    let host = rig.host("192.0.2.1:2600") {
      $0.delay = .milliseconds(100)
      $0.replies = [("RCPT TO:<full@", "452 4.2.2 Mailbox full")]
    }
    for _ in 0..<200 {
      rig.submit(rig.message(to: ["bob@d.test"]))
      rig.submit(rig.message(to: ["full@d.test"]))
    }
    rig.run(.seconds(3))
    host.seen.withLock { #expect($0.peak == 20) }
  }
}
