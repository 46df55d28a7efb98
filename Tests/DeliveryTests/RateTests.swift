import MailModel
import NIOCore
import Outside
import Routing
import Testing

@testable import Delivery

/// What `[[destination]]` allows.
@Suite struct RateTests {
  static let dns: [String: [(UInt16, String, String)]] = [
    "slow.test": [(10, "mx1.slow.test", "192.0.2.1"), (10, "mx2.slow.test", "192.0.2.2")],
    "free.test": [(10, "mx.free.test", "192.0.2.3")],
    "other.test": [(10, "mx1.slow.test", "192.0.2.1")],
  ]

  @Test(
    "no period has more events than a pace allows, wherever it begins",
    arguments: [(1, 60), (7, 60), (60, 60), (100, 60), (600, 60), (6_000, 60), (1_000, 3_600)])
  func pace(count: Int, seconds: Int) {
    var pace = Pace(count: count, period: .seconds(seconds))
    var times: [UInt64] = []
    var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    for _ in 0..<(3 * count + 10) {
      now = max(now, pace.next)
      pace.take(at: now)
      times.append(now.nanoseconds)
    }
    let period = UInt64(seconds) * 1_000_000_000
    for (index, time) in times.enumerated() where index + count < times.count {
      #expect(times[index + count] - time >= period, "\(count + 1) events in a period from \(index)")
    }
    // And is not much slower than that.
    #expect(times[times.count - 1] - times[0] <= period * 13 / 4 + 12 * period / UInt64(count))
  }

  @Test("messages to a limited domain leave at their rate, count no attempt, and delay nobody")
  func messages() throws {
    let rig = try Rig(dns: Self.dns) { $0.rules = [DestinationRule(domains: ["slow.test"], messagesPerMinute: 60)] }
    let slow = [rig.host("192.0.2.1:25"), rig.host("192.0.2.2:25")]
    let free = rig.host("192.0.2.3:25")
    rig.start()
    for _ in 0..<600 { rig.submit(rig.message(to: ["bob@slow.test"])) }
    rig.submit(rig.message(to: ["bob@free.test"]))
    func taken() -> Int { slow.reduce(0) { $0 + $1.messages.filter { $0.recipients == ["bob@slow.test"] }.count } }
    rig.run(.seconds(1))
    #expect(free.messages.count == 1)
    var last = taken()
    for minute in 1...9 {
      rig.run(.seconds(60))
      let now = taken()
      #expect(now - last <= 60)
      #expect(now >= minute * 50, "\(now) in \(minute) minutes")
      last = now
    }
    rig.run(.seconds(180))
    #expect(taken() == 600)
    // Nobody was told that anything failed, and nothing counted as tried.
    #expect(rig.queue.records.allSatisfy { $0.outcome.isDelivered || $0.outcome.isReturned })
    // What can't go within a minute does not stay in memory.
    #expect(rig.queue.records.filter { $0.outcome.isReturned }.count >= 500)
  }

  @Test("a limited domain holds up no other that has the same host")
  func sharedHost() throws {
    let rig = try Rig(dns: Self.dns) { $0.rules = [DestinationRule(domains: ["slow.test"], messagesPerMinute: 6)] }
    let host = rig.host("192.0.2.1:25")
    _ = rig.host("192.0.2.2:25")
    for _ in 0..<100 { rig.submit(rig.message(to: ["bob@slow.test"])) }
    rig.run(.seconds(1))
    for _ in 0..<20 { rig.submit(rig.message(to: ["bob@other.test"])) }
    rig.run(.seconds(2))
    #expect(host.messages.filter { $0.recipients == ["bob@other.test"] }.count == 20)
  }

  @Test("a rule for hosts holds for all domains that have them, together")
  func hosts() throws {
    let rig = try Rig(dns: Self.dns) {
      $0.rules = [DestinationRule(hosts: [".slow.test"], concurrency: 3, messagesPerHour: 100)]
    }
    let slow = [
      rig.host("192.0.2.1:25") { $0.delay = .milliseconds(50) }, rig.host("192.0.2.2:25") { $0.delay = .milliseconds(50) },
    ]
    for _ in 0..<60 {
      rig.submit(rig.message(to: ["bob@slow.test"]))
      rig.submit(rig.message(to: ["bob@other.test"]))
    }
    var most = 0
    for _ in 0..<360 {
      rig.run(.seconds(10))
      most = max(most, slow.reduce(0) { sum, host in sum + host.seen.withLock { $0.open } })
    }
    #expect(most <= 3)
    #expect(slow.reduce(0) { $0 + $1.messages.count } <= 100)
    #expect(slow.reduce(0) { $0 + $1.messages.count } >= 90)
  }

  @Test("connections are begun at their rate, and carry no more messages than they may")
  func connections() throws {
    let rig = try Rig(dns: Self.dns) {
      $0.rules = [DestinationRule(domains: [".test", "free.test"], connectionsPerMinute: 6, messagesPerConnection: 5)]
    }
    let free = rig.host("192.0.2.3:25")
    for _ in 0..<60 { rig.submit(rig.message(to: ["bob@free.test"])) }
    rig.run(.seconds(59))
    free.seen.withLock { #expect($0.connections == 6) }
    #expect(free.messages.count == 30)
    rig.run(.seconds(60))
    #expect(free.messages.count == 60)
    #expect(rig.queue.records.allSatisfy { $0.outcome.isDelivered })
  }

  @Test("another rule counts for what waits at once")
  func reload() throws {
    let rig = try Rig(dns: Self.dns) { $0.rules = [DestinationRule(domains: ["free.test"], messagesPerMinute: 1)] }
    let free = rig.host("192.0.2.3:25")
    rig.start()
    for _ in 0..<20 { rig.submit(rig.message(to: ["bob@free.test"])) }
    rig.run(.seconds(5))
    #expect(free.messages.count == 1)
    let scheduler = rig.scheduler
    var settings = DeliverySettings(hostname: "mx.own.test")
    settings.rules = [DestinationRule(domains: ["free.test"], messagesPerMinute: 6_000)]
    _ = Task(executorPreference: rig.executor) { [settings] in scheduler.update(settings) }
    rig.run(.seconds(5))
    #expect(free.messages.count >= 2)
    rig.run(.seconds(3_700))
    #expect(free.messages.count == 20)
  }

  @Test("an exact name counts before a suffix, a longer suffix before a shorter one, a star last")
  func patterns() {
    var table = PatternTable<Int>()
    for (index, pattern) in ["*", ".test", ".a.test", "b.a.test"].enumerated() { table.add(pattern, index) }
    #expect(["b.a.test", "c.a.test", "a.test", "test", "x.example"].map { table.value(for: $0) } == [3, 2, 1, 0, 0])
  }
}

/// Where connections come from.
@Suite struct SourceTests {
  private static func source(_ address: String, _ helo: String? = nil) -> ConnectionSource {
    ConnectionSource(addresses: [IPAddress(address)].compactMap { $0 }, helo: helo)
  }

  @Test("a route's source goes before its sender's, which goes before the common one; each has its name, and the trace says so")
  func precedence() throws {
    let rig = try Rig(
      routes: [("routed.test", "smtp://192.0.2.9:2600?source=192.0.2.109&helo=routed.own.test")],
      dns: ["d.test": [(10, "mx.d.test", "192.0.2.1")]]
    ) {
      $0.source = Self.source("192.0.2.100")
      $0.senderSources = [.init(pattern: "brand.test", source: Self.source("192.0.2.101", "mail.brand.test"))]
    }
    let host = rig.host("192.0.2.1:25")
    let routed = rig.host("192.0.2.9:2600")
    let branded = rig.message(to: ["bob@d.test"], from: "news@brand.test")
    rig.submit(rig.message(to: ["bob@d.test"]))
    rig.run(.seconds(1))
    rig.submit(branded)
    rig.run(.seconds(1))
    rig.submit(rig.message(to: ["bob@d.test"], from: nil))
    rig.run(.seconds(1))
    rig.submit(rig.message(to: ["bob@routed.test"], from: "news@brand.test"))
    rig.run(.seconds(1))
    // The null path's notification went over the first connection, which rests: it comes from the same place.
    #expect(rig.dialer.sources.withLock { $0 } == ["192.0.2.100", "192.0.2.101", "192.0.2.109"])
    #expect(host.commands.filter { $0.hasPrefix("EHLO") } == ["EHLO mx.own.test", "EHLO mail.brand.test"])
    #expect(routed.commands.first == "EHLO routed.own.test")
    #expect(host.messages.count == 3)
    let detail = rig.trace(of: branded).last?.detail ?? []
    #expect(detail.contains(.init("source", "192.0.2.101")) && detail.contains(.init("helo", "mail.brand.test")))
  }

  @Test("connections of different sources to one host share its window")
  func window() throws {
    let rig = try Rig(dns: ["d.test": [(10, "mx.d.test", "192.0.2.1")]]) {
      $0.limits.connectionsPerDestination = 5
      $0.senderSources = (0..<5).map { .init(pattern: "s\($0).test", source: Self.source("192.0.2.10\($0)")) }
    }
    let host = rig.host("192.0.2.1:25") { $0.delay = .milliseconds(100) }
    for index in 0..<200 { rig.submit(rig.message(to: ["bob@d.test"], from: "a@s\(index % 5).test")) }
    rig.run(.seconds(120))
    #expect(host.messages.count == 200)
    host.seen.withLock { #expect($0.peak == 5) }
  }
}

/// Permanent failures that are kept (`[queue] soft-bounce`).
@Suite struct SoftBounceTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]

  @Test("nothing is returned while it is on; afterwards the next attempt decides")
  func kept() throws {
    let rig = try Rig(routes: Self.route) {
      $0.softBounces = true
      $0.retry.firstRetry = .seconds(60)
      $0.retry.maximumRetry = .seconds(600)
    }
    let host = rig.host("192.0.2.1:2600") {
      $0.replies = [("RCPT TO:<gone@", "550 5.1.1 No such user"), ("RCPT TO:<moved@", "551 5.1.6 Moved")]
    }
    rig.start()
    let message = rig.message(to: ["gone@d.test", "bob@d.test", "moved@d.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(host.messages.map(\.recipients) == [["bob@d.test"]])
    rig.queue.state.withLock { state in
      #expect(state.entries.count == 2)
      #expect(
        state.entries.values.allSatisfy { $0.isKept && $0.attempts == 1 && $0.lastReply.contains("(in reply to RCPT TO)") })
    }
    // Longer than its lifetime.
    rig.run(.seconds(6 * 86_400))
    #expect(rig.sink.all.allSatisfy { !String(decoding: $0.bytes, as: UTF8.self).contains("Action: failed") })
    #expect(rig.queue.left == 2)
    host.script.withLock { $0.replies = [("RCPT TO:<gone@", "550 5.1.1 No such user")] }
    let scheduler = rig.scheduler
    var settings = DeliverySettings(hostname: "mx.own.test")
    settings.retry.maximumRetry = .seconds(600)
    _ = Task(executorPreference: rig.executor) { [settings] in scheduler.update(settings) }
    rig.run(.seconds(1_000))
    #expect(rig.queue.left == 0)
    #expect(host.messages.map(\.recipients) == [["bob@d.test"], ["moved@d.test"]])
    #expect(rig.sink.all.contains { String(decoding: $0.bytes, as: UTF8.self).contains("Final-Recipient: rfc822; gone@d.test") })
  }

  @Test("a domain that does not exist is kept too")
  func noRoute() throws {
    let rig = try Rig { $0.softBounces = true }
    let message = rig.message(to: ["bob@gone.test"])
    rig.submit(message)
    rig.run(.seconds(1))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    #expect(rig.outcomes(of: message)[0].reason == "kept (soft-bounce): 550 5.1.2 Domain gone.test does not exist")
    #expect(rig.trace(of: message).map(\.kind) == [.attempted, .deferred])
  }
}
