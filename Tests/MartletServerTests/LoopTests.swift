import NIOCore
import NIOEmbedded
import Outside
import Synchronization
import Testing

@testable import MartletServer

@Suite struct LoopTests {
  /// A clock that tests move.
  final class Hand: Clock {
    private let time = Mutex<UInt64>(1_000_000_000)
    func now() -> Timestamp { Timestamp(seconds: 0) }
    func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: time.withLock { $0 }) }
    func advance(_ milliseconds: UInt64) { time.withLock { $0 += milliseconds * 1_000_000 } }
  }

  final class Bell: TimerEntry {
    var rings = 0
    var then: () -> Void = {}
    override func fire() {
      rings += 1
      then()
    }
  }

  /// What happened, in order.
  final class Order<Element: Sendable>: Sendable {
    private let held = Mutex<[Element]>([])
    var all: [Element] { held.withLock { $0 } }
    func add(_ element: Element) { held.withLock { $0.append(element) } }
  }

  static func at(_ milliseconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

  @Test("a deadline fires once, not early, and at most a tick late")
  func fires() {
    let clock = Hand()
    let wheel = TimerWheel(executor: LoopExecutor(loop: EmbeddedEventLoop()), clock: clock)
    for due in [1_001, 1_099, 1_100, 1_101, 2_000, 60_000, 103_000, 350_000] as [UInt64] {
      let bell = Bell()
      let start = clock.monotonic().nanoseconds / 1_000_000
      wheel.set(bell, to: Self.at(start + due))
      while clock.monotonic() < Self.at(start + due) {
        #expect(bell.rings == 0)
        clock.advance(50)
        wheel.advance(to: clock.monotonic())
      }
      clock.advance(100)
      wheel.advance(to: clock.monotonic())
      #expect(bell.rings == 1)
      clock.advance(200_000)
      wheel.advance(to: clock.monotonic())
      #expect(bell.rings == 1)
    }
  }

  @Test("the last deadline counts, moved later, earlier, or away; a stopped process catches up")
  func moves() {
    let clock = Hand()
    let wheel = TimerWheel(executor: LoopExecutor(loop: EmbeddedEventLoop()), clock: clock)
    let (later, earlier, gone, removed, killed) = (Bell(), Bell(), Bell(), Bell(), Bell())
    wheel.set(later, to: Self.at(1_200))
    wheel.set(later, to: Self.at(5_000))
    wheel.set(earlier, to: Self.at(90_000))
    wheel.set(earlier, to: Self.at(1_300))
    wheel.set(gone, to: Self.at(1_300))
    wheel.set(gone, to: .never)
    wheel.set(removed, to: Self.at(1_300))
    wheel.remove(removed)
    // One that fires may take away another that is due in the same tick.
    earlier.then = { wheel.remove(killed) }
    wheel.set(killed, to: Self.at(1_300))
    clock.advance(500)
    wheel.advance(to: clock.monotonic())
    #expect([later, earlier, gone, removed, killed].map(\.rings) == [0, 1, 0, 0, 0])
    clock.advance(1_000_000)
    wheel.advance(to: clock.monotonic())
    #expect([later, earlier, gone, removed, killed].map(\.rings) == [1, 1, 0, 0, 0])
  }

  @Test("a root task and its children stay on the loop's thread, and a task that yields lets others run")
  func confined() async {
    let loops = ServerLoops(count: 2)
    for home in loops.all {
      let order = Order<Int>()
      await home.start {
        #expect(home.loop.inEventLoop)
        await withTaskGroup(of: Void.self) { group in
          for number in 0..<2 {
            group.addTask {
              for _ in 0..<3 {
                #expect(home.loop.inEventLoop)
                order.add(number)
                await Task.yield()
              }
            }
          }
        }
        #expect(home.loop.inEventLoop)
        await LoopSleeper(loops: loops).sleep(until: SystemClock().monotonic().advanced(by: .milliseconds(1)))
        #expect(home.loop.inEventLoop)
      }.value
      #expect(order.all == [0, 1, 0, 1, 0, 1])
    }
    await loops.shutdown()
  }

  @Test("a worker runs its jobs in order, delayed ones when their time has come, and all before it stops")
  func worker() {
    let worker = ThreadWorker(named: "test")
    let order = Order<String>()
    worker.submit(after: .seconds(3_600)) { order.add("last") }
    worker.submit(after: .milliseconds(20)) { order.add("late") }
    worker.submit(after: .zero) { order.add("now") }
    while order.all.count < 2 {}
    for number in 0..<100 { worker.submit { order.add("\(number)") } }
    worker.stop()
    #expect(order.all == ["now", "late"] + (0..<100).map { "\($0)" } + ["last"])
  }

  @Test("random words differ, from several threads at once")
  func random() async {
    let source = SystemRandom()
    let words = await withTaskGroup(of: [UInt64].self) { group in
      for _ in 0..<4 { group.addTask { (0..<1_000).map { _ in source.next() } } }
      return await group.reduce(into: []) { $0 += $1 }
    }
    #expect(Set(words).count == 4_000)
  }
}
