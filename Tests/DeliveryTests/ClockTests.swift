import MailModel
import MailStore
import Outside
import Testing

@testable import Delivery

/// Deferred mail while the wall clock jumps (HOSTILE 59).
@Suite struct ClockTests {
  private static let years = Duration.seconds(315_576_000)
  private static let day = Duration.seconds(86_400)

  /// A rig with a host that puts everything off, and a message that was tried for an hour.
  private func deferred(_ change: (inout FakeHost.Script) -> Void = { $0.replies = [("RCPT", "450 4.2.0 later")] }) throws -> (
    Rig, FakeHost, QueuedMessage
  ) {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    let host = rig.host("192.0.2.1:25", change)
    let message = rig.message(to: ["bob@a.test"], claimed: false)
    rig.start()
    rig.run(.seconds(7_200))
    #expect(rig.outcomes(of: message).count > 2)
    return (rig, host, message)
  }

  private func isDeferred(_ message: QueuedMessage, _ rig: Rig) -> Bool {
    rig.outcomes(of: message).allSatisfy { $0.isTransient }
  }

  @Test(
    "HOSTILE 59: a clock that is set ten years ahead returns nothing for a day, tells nobody of a delay, and keeps the pace of the attempts"
  )
  func ahead() throws {
    let (rig, _, message) = try deferred()
    let before = rig.outcomes(of: message).count
    rig.executor.clock.jump(by: Self.years)
    rig.run(.seconds(3_600))
    let outcomes = rig.outcomes(of: message)
    #expect(isDeferred(message, rig))
    #expect(rig.sink.all.isEmpty)
    #expect(outcomes.count - before <= 2)
    rig.run(.seconds(72_000))
    #expect(isDeferred(message, rig))
    #expect(rig.sink.all.map(\.stage) == [.delayed])
    // Whoever set the clock right in time has lost nothing.
    rig.executor.clock.jump(by: .zero - Self.years)
    rig.run(Self.day * 2)
    #expect(isDeferred(message, rig))
    rig.run(Self.day * 3)
    #expect(rig.outcomes(of: message).last?.isPermanent == true)
  }

  @Test("after a day the clock is believed, and what is too old is returned")
  func believed() throws {
    let (rig, _, message) = try deferred()
    rig.executor.clock.jump(by: Self.years)
    rig.run(.seconds(82_800))
    #expect(isDeferred(message, rig))
    rig.run(.seconds(20_000))
    #expect(rig.outcomes(of: message).last?.isPermanent == true)
  }

  @Test(
    "HOSTILE 59: while the clock stands still, or takes a leap second back, attempts keep their pace by the monotonic one",
    arguments: [600, 601])
  func standsStill(back: Int) throws {
    let (rig, _, message) = try deferred()
    let before = rig.outcomes(of: message).count
    // Two days by the monotonic clock, none by the other.
    for _ in 0..<288 {
      rig.run(.seconds(600))
      rig.executor.clock.jump(by: .seconds(-back))
    }
    let attempts = rig.outcomes(of: message).count - before
    #expect((10...40).contains(attempts), "\(attempts)")
    #expect(isDeferred(message, rig))
  }

  @Test("HOSTILE 59: a clock that is set back delays nothing, neither at once nor when it is believed", arguments: [1, 3_650])
  func back(days: Int) throws {
    let (rig, _, message) = try deferred()
    rig.executor.clock.jump(by: .zero - Self.day * days)
    var last = rig.outcomes(of: message).count
    // Never longer without an attempt than the longest pause and its jitter.
    for _ in 0..<12 {
      rig.run(.seconds(16_000))
      let now = rig.outcomes(of: message).count
      #expect(now > last)
      last = now
    }
  }

  @Test("what a clock that was ahead has put off is due soon after the next start")
  func start() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    _ = rig.host("192.0.2.1:25")
    let message = rig.message(to: ["bob@a.test"], claimed: false)
    for entry in message.entries {
      rig.queue.state.withLock {
        $0.entries[entry.id]?.nextAttempt = rig.executor.clock.now().advanced(by: Self.years + .seconds(3_600))
      }
    }
    rig.start()
    rig.run(Self.day)
    #expect(rig.outcomes(of: message).first?.isDelivered == true)
  }

  @Test("what is due tomorrow stays so at a start")
  func tomorrow() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    _ = rig.host("192.0.2.1:25")
    let message = rig.message(to: ["bob@a.test"], claimed: false)
    for entry in message.entries {
      rig.queue.state.withLock { $0.entries[entry.id]?.nextAttempt = rig.executor.clock.now().advanced(by: .seconds(80_000)) }
    }
    rig.start()
    rig.run(.seconds(79_000))
    #expect(rig.outcomes(of: message).isEmpty)
    rig.run(.seconds(2_000))
    #expect(rig.outcomes(of: message).first?.isDelivered == true)
  }

  @Test("just after the start nothing is returned for its age: what kept us down may have kept the host down too")
  func afterTheStart() throws {
    let rig = try Rig(routes: [("*", "smtp://192.0.2.1:25")])
    _ = rig.host("192.0.2.1:25") { $0.replies = [("RCPT", "450 4.2.0 later")] }
    let message = rig.message(to: ["bob@a.test"], age: Self.day * 30, claimed: false)
    for entry in message.entries { rig.queue.state.withLock { $0.entries[entry.id]?.attempts = 3 } }
    rig.start()
    rig.run(.seconds(60))
    #expect(rig.outcomes(of: message).map(\.isTransient) == [true])
    rig.run(.seconds(9_000))
    #expect(rig.outcomes(of: message).last?.isPermanent == true)
  }
}
