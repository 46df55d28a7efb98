import InternetMessage
import MailModel
import NIOCore
import Outside
import Testing

@testable import Delivery

@Suite struct BackoffTests {
  @Test("pauses double up to the longest, a tenth up or down, and end with the lifetime")
  func pauses() throws {
    let rig = try Rig()
    let backoff = Backoff(policy: RetryPolicy())
    let start = Timestamp(seconds: 1_000_000)
    for (failures, minutes) in [(1, 5), (2, 10), (3, 20), (6, 160), (7, 240), (40, 240)] as [(UInt32, Int64)] {
      for _ in 0..<100 {
        let next = try #require(backoff.next(failures: failures, received: start, now: start, random: rig.executor.random))
        let pause = next.since(start).components.seconds
        #expect(pause >= minutes * 54 && pause <= minutes * 66)
      }
    }
    let late = start.advanced(by: .seconds(431_999))
    #expect(
      backoff.next(failures: 9, received: start, now: late, random: rig.executor.random) == start.advanced(by: .seconds(432_000)))
    #expect(
      backoff.next(failures: 9, received: start, now: start.advanced(by: .seconds(432_000)), random: rig.executor.random) == nil)
  }

  @Test("what was not tried waits as long again as it has waited, in the bounds of the pauses, and ends with its lifetime")
  func untried() throws {
    let rig = try Rig()
    let backoff = Backoff(policy: RetryPolicy())
    let start = Timestamp(seconds: 1_000_000)
    for (age, pause) in [(0, 300.0), (300, 300), (3_600, 3_600), (100_000, 14_400)] {
      let now = start.advanced(by: .seconds(age))
      let next = try #require(backoff.nextUntried(received: start, now: now, random: rig.executor.random))
      let waited = Double(next.since(now).microseconds) / 1_000_000
      #expect(waited >= pause * 0.899 && waited <= pause * 1.101)
    }
    let end = start.advanced(by: .seconds(432_000))
    #expect(backoff.nextUntried(received: start, now: end.advanced(by: .seconds(-5)), random: rig.executor.random) == end)
    #expect(backoff.nextUntried(received: start, now: end, random: rig.executor.random) == nil)
    #expect(backoff.nextUntried(received: end, now: start, random: rig.executor.random) != nil)
    #expect(
      backoff.nextUntried(received: .init(microseconds: .min), now: .init(microseconds: .max), random: rig.executor.random) == nil)
  }

  @Test("a clock that jumps ten years returns nothing that was tried only once, and overflows nothing")
  func jump() throws {
    let rig = try Rig()
    let backoff = Backoff(policy: RetryPolicy())
    let start = Timestamp(seconds: 1_000_000)
    let later = start.advanced(by: .seconds(315_360_000))
    #expect(try #require(backoff.next(failures: 1, received: start, now: later, random: rig.executor.random)) > later)
    #expect(backoff.next(failures: .max, received: later, now: start, random: rig.executor.random) != nil)
    #expect(
      backoff.next(failures: 1, received: .init(microseconds: .max), now: .init(microseconds: .max), random: rig.executor.random)
        != nil)
  }
}
