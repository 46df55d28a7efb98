import MailModel
import MailStore
import NIOCore
import Outside
import Testing

@testable import Delivery

/// A queued message whose bytes fail their checksum (HOSTILE 56).
@Suite struct DamageTests {
  @Test(
    "it is held and the postmaster told once, whatever the host offers; its neighbours go out",
    arguments: [["PIPELINING"], ["PIPELINING", "CHUNKING"], []])
  func held(_ keywords: [String]) throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    let host = rig.host("192.0.2.1:25") { $0.keywords = keywords }
    let before = rig.message(to: ["bob@a.test"], claimed: false)
    let damaged = rig.message(to: ["bob@a.test", "carol@a.test"], claimed: false)
    let after = rig.message(to: ["bob@a.test"], claimed: false)
    rig.queue.state.withLock { $0.bodies[damaged.body] = nil }
    rig.start()
    rig.run(.seconds(86_400 * 6))
    #expect(rig.outcomes(of: before).last?.isDelivered == true)
    #expect(rig.outcomes(of: after).last?.isDelivered == true)
    #expect(host.messages.count == 2)
    #expect(rig.outcomes(of: damaged) == Array(repeating: .held(reason: "451 4.3.0 The stored message is damaged"), count: 2))
    #expect(rig.queue.left == 2)
    let told = try #require(rig.sink.all.first)
    #expect(rig.sink.all.count == 1)
    #expect(told.recipient == rig.sink.postmaster)
    // About it nobody else is ever told.
    #expect(told.isForPostmaster)
    let text = rig.sink.text(0)
    #expect(text.contains("Subject: A queued message is damaged\r\n"))
    #expect(text.contains("from <alice@own.test>, can't be read"))
    #expect(text.contains("bob@a.test") && text.contains("carol@a.test"))
    #expect(text.contains("martlet queue remove \(damaged.id)"))
    #expect(rig.trace(of: damaged).map(\.kind) == [.attempted, .held, .notified, .attempted, .held])
  }

  @Test("until the postmaster's message is stored the recipient is not let go of: a crash in between must not hold it unseen")
  func told() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    _ = rig.host("192.0.2.1:25")
    let damaged = rig.message(to: ["bob@a.test"], claimed: false)
    rig.queue.state.withLock { $0.bodies[damaged.body] = nil }
    rig.sink.fails.withLock { $0 = true }
    rig.start()
    rig.run(.seconds(20))
    #expect(rig.outcomes(of: damaged).isEmpty)
    rig.sink.fails.withLock { $0 = false }
    rig.run(.seconds(60))
    #expect(rig.outcomes(of: damaged) == [.held(reason: "451 4.3.0 The stored message is damaged")])
    #expect(rig.sink.all.count == 1)
  }

  @Test("found while it is re-encoded for a host of 7 bits, it is held too")
  func sevenBit() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    let host = rig.host("192.0.2.1:25") { $0.keywords = ["PIPELINING"] }
    var census = BodyCensus()
    census.hasEightBitBody = true
    let damaged = rig.message(to: ["bob@a.test"], census: census, claimed: false)
    rig.queue.state.withLock { $0.bodies[damaged.body] = nil }
    rig.start()
    rig.run(.seconds(3_600))
    #expect(host.messages.isEmpty)
    #expect(rig.outcomes(of: damaged) == [.held(reason: "451 4.3.0 The stored message is damaged")])
    #expect(rig.sink.all.count == 1)
  }
}
