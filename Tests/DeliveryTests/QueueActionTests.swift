import Foundation
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Testing

@testable import Delivery

/// What a person does to the queue, and to the server, while mail is on its way.
@Suite struct QueueActionTests {
  static let route = [("*", "smtp://192.0.2.1:2600")]

  private func withdraw(_ rig: Rig, _ messages: [QueuedMessage]) -> Int? {
    let ids = messages.flatMap(\.entries).map(\.id)
    let scheduler = rig.scheduler
    _ = Task(executorPreference: rig.executor) {
      let withdrawn = await scheduler.withdraw(ids)
      rig.queue.state.withLock { $0.withdrawn = withdrawn }
    }
    rig.run(.milliseconds(1))
    return rig.queue.state.withLock { $0.withdrawn }
  }

  @Test("what only waits for its turn is given back; what is being delivered is left to its transaction")
  func waiting() throws {
    let rig = try Rig(routes: Self.route) {
      $0.limits.connectionsPerDestination = 1
      $0.limits.firstConnections = 1
    }
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(10) }
    let messages = (0..<20).map { rig.message(to: ["r\($0)@d.test"]) }
    for message in messages { rig.submit(message) }
    rig.run(.seconds(25))
    let count = try #require(withdraw(rig, messages))
    #expect(count == 19)
    rig.run(.seconds(600))
    #expect(host.messages.count == 1)
    let returned = rig.queue.records.filter { if case .returned = $0.outcome { true } else { false } }
    let taken = rig.queue.records.filter(\.outcome.isDelivered)
    #expect(Set((returned + taken).map(\.message)) == Set(messages.map(\.id)) && taken.count == 1)
    // Given back, they can be had again.
    rig.start()
    rig.run(.seconds(1_200))
    #expect(host.messages.count == 20 && rig.queue.left == 0)
  }

  @Test("a job whose connection is being made is withdrawn too, and the connection serves others")
  func connecting() throws {
    let rig = try Rig(routes: Self.route) { $0.limits.connectionsPerDestination = 1 }
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(5) }
    let first = rig.message(to: ["one@d.test"])
    let second = rig.message(to: ["two@d.test", "three@d.test"])
    rig.submit(first)
    rig.run(.seconds(1))
    rig.submit(second)
    #expect(withdraw(rig, [first]) == 1)
    rig.run(.seconds(100))
    #expect(host.messages.map(\.recipients.count) == [2])
  }

  @Test("whoever comes in on another thread than the loop's is noticed, at every door")
  func strays() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    rig.start()
    rig.run(.seconds(1))
    let doors: [@Sendable (Scheduler) -> Void] = [
      { $0.newWork() }, { $0.queueChanged() }, { $0.start() }, { $0.update(DeliverySettings(hostname: "mx.own.test")) },
    ]
    for (number, door) in doors.enumerated() {
      let before = rig.strays.count
      let scheduler = rig.scheduler
      // Nothing else runs meanwhile: the simulation stands still until it is back.
      let thread = Thread { door(scheduler) }
      thread.start()
      while !thread.isFinished { usleep(1_000) }
      #expect(rig.strays.count > before, "door \(number)")
    }
  }

  @Test("of a message with several recipients only those that are meant are withdrawn")
  func some() throws {
    let rig = try Rig(routes: Self.route) { $0.limits.connectionsPerDestination = 1 }
    let host = rig.host("192.0.2.1:2600") { $0.delay = .seconds(5) }
    rig.submit(rig.message(to: ["one@d.test"]))
    rig.run(.seconds(1))
    var second = rig.message(to: ["two@d.test", "three@d.test"])
    rig.submit(second)
    rig.run(.seconds(6))
    second.entries.removeLast()
    #expect(withdraw(rig, [second]) == 1)
    rig.run(.seconds(100))
    #expect(host.messages.map(\.recipients) == [["one@d.test"], ["three@d.test"]])
  }

  @Test("what is cut off at the end of the server is recorded as that, and not as the host's doing")
  func cut() throws {
    let rig = try Rig(routes: Self.route)
    _ = rig.host("192.0.2.1:2600") { $0.delay = .seconds(100) }
    let message = rig.message(to: ["bob@d.test"])
    rig.submit(message)
    rig.run(.seconds(250))
    let scheduler = rig.scheduler
    let end = rig.executor.clock.monotonic().advanced(by: .seconds(8))
    _ = Task(executorPreference: rig.executor) { await scheduler.stop(until: end) }
    rig.run(.seconds(9))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    #expect(rig.outcomes(of: message).first?.reason.contains("cut off here, since this server is stopping") == true)
    #expect(rig.trace(of: message).map(\.kind) == [.attempted, .deferred])
  }

  @Test(
    "the connections to all hosts together stay within their limit, and hosts that take mail have theirs", arguments: [1, 2, 8, 40])
  func concurrency(_ limit: Int) throws {
    let rig = try Rig(routes: (0..<60).map { ("d\($0).test", "smtp://192.0.2.\($0 + 1):2600") }) { $0.limits.connections = limit }
    let hosts = (0..<60).map { number in
      // A third of them never says anything.
      rig.host("192.0.2.\(number + 1):2600") {
        $0.isSilent = number % 3 == 0
        $0.delay = .milliseconds(100)
      }
    }
    for round in 0..<3 {
      for number in 0..<60 { rig.submit(rig.message(to: ["r\(round)@d\(number).test"])) }
    }
    var most = 0
    for _ in 0..<200 {
      rig.run(.milliseconds(500))
      most = max(most, hosts.reduce(0) { $0 + $1.seen.withLock { $0.open } })
    }
    #expect(most <= limit)
    if limit >= 40 {
      for (number, host) in hosts.enumerated() where number % 3 != 0 { #expect(host.messages.count == 3, "host \(number)") }
    }
  }

  @Test("messages that must be re-encoded wait for room in memory, and all get through")
  func conversions() throws {
    let rig = try Rig(routes: Self.route) {
      $0.limits.conversionMemory = 100
      $0.limits.convertedMessage = 1_000
    }
    let host = rig.host("192.0.2.1:2600") {
      $0.keywords = ["PIPELINING"]
      $0.delay = .milliseconds(10)
    }
    rig.start()
    let body = "Subject: x\r\n\r\n" + String(repeating: "\u{FC}", count: 60) + "\r\n"
    for _ in 0..<8 { rig.submit(rig.message(to: ["bob@d.test"], body: body, census: BodyCensus(hasEightBitBody: true))) }
    rig.submit(
      rig.message(
        to: ["big@d.test"], body: body + String(repeating: "x\r\n", count: 500), census: BodyCensus(hasEightBitBody: true)))
    rig.run(.seconds(300))
    #expect(host.messages.count == 8 && rig.queue.left == 0)
    #expect(host.messages.allSatisfy { $0.data.allSatisfy { $0 < 0x80 } })
    #expect(rig.sink.all.count == 1)
    #expect(rig.scheduler.conversionOctets == 0)
  }
}
