import Synchronization
import Testing

@testable import Outside

/// A schedule that does not jump with the wall clock (HOSTILE 59).
@Suite struct SteadyClockTests {
  /// A clock that a test sets.
  private final class Hand: Clock {
    private let state = Mutex((wall: Int64(1_000_000_000), monotonic: UInt64(50)))
    func now() -> Timestamp { Timestamp(seconds: state.withLock { $0.wall }) }
    func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: state.withLock { $0.monotonic } * 1_000_000_000) }
    func pass(_ seconds: Int64) {
      state.withLock {
        $0.wall += seconds
        $0.monotonic += UInt64(seconds)
      }
    }
    func jump(_ seconds: Int64) { state.withLock { $0.wall += seconds } }
    func set(_ seconds: Int64) { state.withLock { $0.wall = seconds } }
  }

  private let hand = Hand()
  private let events = Log()
  private var clock: SteadyClock { SteadyClock(hand) { [events] in events.add($0) } }

  private final class Log: Sendable {
    private let all = Mutex<[SteadyClock.Event]>([])
    func add(_ event: SteadyClock.Event) { all.withLock { $0.append(event) } }
    var events: [SteadyClock.Event] { all.withLock { $0 } }
  }

  @Test("it is the wall clock, and follows small steps") func follows() {
    let clock = clock
    for step: Int64 in [0, 1, -1, 599, -599, 30] {
      hand.pass(60)
      hand.jump(step)
      #expect(clock.schedule() == clock.now())
    }
    #expect(events.events.isEmpty)
  }

  @Test("after a jump it keeps its course for a day, then believes", arguments: [315_576_000, -86_400, 601, -601])
  func jumps(by seconds: Int64) {
    let clock = clock
    let start = clock.schedule()
    hand.pass(10)
    hand.jump(seconds)
    #expect(clock.schedule() == start.advanced(by: .seconds(10)))
    #expect(clock.now() == start.advanced(by: .seconds(10 + seconds)))
    hand.pass(86_399)
    #expect(clock.schedule() == start.advanced(by: .seconds(86_409)))
    #expect(clock.wall(of: clock.schedule()) == clock.now())
    hand.pass(1)
    _ = clock.schedule()
    #expect(clock.schedule() == clock.now())
    #expect(clock.offset == .zero)
    #expect(events.events == [.jumped(by: .seconds(seconds)), .believed(after: .seconds(seconds))])
  }

  @Test("HOSTILE 59: a wall clock that stands still holds the schedule up for minutes only, and set right it is followed again")
  func standsStill() {
    let clock = clock
    let start = clock.schedule()
    for minute in Int64(1)...2_880 {
      hand.pass(60)
      hand.jump(-60)
      let late = start.advanced(by: .seconds(60 * minute)).since(clock.schedule())
      #expect(late >= .zero && late <= SteadyClock.tolerance)
    }
    #expect(clock.now() == start)
    hand.jump(172_800)
    #expect(clock.schedule() == clock.now())
    #expect(events.events.last == .returned)
  }

  @Test("a clock that is set right again is followed at once") func returns() {
    let clock = clock
    hand.jump(90_000)
    _ = clock.schedule()
    hand.pass(3_600)
    hand.jump(-90_030)
    #expect(clock.schedule() == clock.now())
    #expect(events.events == [.jumped(by: .seconds(90_000)), .returned])
  }

  @Test("a second jump starts the day anew") func twice() {
    let clock = clock
    let start = clock.schedule()
    hand.jump(90_000)
    _ = clock.schedule()
    hand.pass(80_000)
    hand.jump(5_000)
    #expect(clock.schedule() == start.advanced(by: .seconds(80_000)))
    hand.pass(86_000)
    #expect(clock.schedule() == start.advanced(by: .seconds(166_000)))
    #expect(events.events == [.jumped(by: .seconds(90_000)), .jumped(by: .seconds(5_000))])
  }

  @Test("the ends of time trap nothing") func ends() {
    let clock = clock
    for seconds: Int64 in [.max, .min, 0, .max, 1_000_000_000] {
      hand.set(seconds)
      _ = clock.schedule()
      _ = clock.wall(of: Timestamp(microseconds: .max))
      _ = clock.wall(of: Timestamp(microseconds: .min))
    }
  }
}
