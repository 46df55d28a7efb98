import NIOCore
import Outside

/// The deadlines of one event loop, at a tick's precision: setting one costs a few instructions, not a system call or a heap.
///
/// A deadline that moves later is only noted; its entry stays in its slot and is put where it belongs when the slot comes. So
/// a session that sets a deadline a command touches the wheel twice in its life.
///
/// Limits: a tick of 100 ms, 1,024 slots (102 s); a later deadline goes round again. Fires up to one tick late, never early.
/// The tick runs only while something is in the wheel.
///
/// - Confinement: the loop's thread only, as are its entries. That is what makes `@unchecked Sendable` true.
final class TimerWheel: @unchecked Sendable {
  static let tick: UInt64 = 100_000_000
  private static let slotCount = 1_024

  private let executor: LoopExecutor
  private let clock: any Clock
  private var slots: [[TimerEntry]] = Array(repeating: [], count: TimerWheel.slotCount)
  private var currentTick: UInt64 = 0
  private var count = 0
  private var ticking: RepeatedTask?

  init(executor: LoopExecutor, clock: any Clock) {
    self.executor = executor
    self.clock = clock
  }

  /// Lets `entry` fire at `deadline`; replaces its earlier deadline, `.never` takes it away.
  func set(_ entry: TimerEntry, to deadline: MonotonicInstant) {
    entry.deadline = deadline
    guard deadline != .never else { return }
    let wanted = Self.tickAfter(deadline)
    if entry.slot >= 0 {
      if entry.tick <= wanted { return }
      unlink(entry)
    }
    startTicking()
    link(entry, at: wanted)
  }

  /// Forgets `entry`; it does not fire any more.
  func remove(_ entry: TimerEntry) {
    entry.deadline = .never
    if entry.slot >= 0 { unlink(entry) }
  }

  /// Fires what is due at `now`. Called each tick.
  func advance(to now: MonotonicInstant) {
    let nowTick = now.nanoseconds / Self.tick
    guard nowTick > currentTick else { return }
    var expired: [TimerEntry] = []
    var later: [TimerEntry] = []
    // After a long stop of the process each slot is visited once, not each tick that was missed.
    let steps = min(nowTick - currentTick, UInt64(Self.slotCount))
    for step in 0..<steps {
      let slot = Int((nowTick - step) % UInt64(Self.slotCount))
      guard !slots[slot].isEmpty else { continue }
      var entries: [TimerEntry] = []
      swap(&entries, &slots[slot])
      count -= entries.count
      for entry in entries {
        entry.slot = -1
        if entry.deadline <= now {
          expired.append(entry)
        } else if entry.deadline != .never {
          later.append(entry)
        }
      }
    }
    currentTick = nowTick
    for entry in later { link(entry, at: Self.tickAfter(entry.deadline)) }
    for entry in expired where entry.deadline <= now {
      entry.deadline = .never
      entry.fire()
    }
    if count == 0 {
      ticking?.cancel()
      ticking = nil
    }
  }

  /// The first tick that begins at or after `deadline`.
  private static func tickAfter(_ deadline: MonotonicInstant) -> UInt64 {
    deadline.nanoseconds / tick + (deadline.nanoseconds % tick == 0 ? 0 : 1)
  }

  private func startTicking() {
    guard ticking == nil else { return }
    currentTick = clock.monotonic().nanoseconds / Self.tick
    let step = TimeAmount.nanoseconds(Int64(Self.tick))
    ticking = executor.loop.scheduleRepeatedTask(initialDelay: step, delay: step) { [executor, clock] _ in
      executor.gather { self.advance(to: clock.monotonic()) }
    }
  }

  private func link(_ entry: TimerEntry, at wanted: UInt64) {
    // A slot ahead of the current one and less than a round away, else it would be seen too early or a round late.
    let tick = min(max(wanted, currentTick + 1), currentTick + UInt64(Self.slotCount) - 1)
    let slot = Int(tick % UInt64(Self.slotCount))
    entry.tick = tick
    entry.slot = slot
    entry.index = slots[slot].count
    slots[slot].append(entry)
    count += 1
  }

  private func unlink(_ entry: TimerEntry) {
    guard let last = slots[entry.slot].popLast() else { return }
    if last !== entry {
      slots[entry.slot][entry.index] = last
      last.index = entry.index
    }
    entry.slot = -1
    count -= 1
  }
}

/// Something with a deadline: subclasses say what happens then.
class TimerEntry {
  /// When it is due; `.never` if it is not waiting. Set by the wheel.
  fileprivate(set) var deadline = MonotonicInstant.never
  fileprivate var tick: UInt64 = 0
  fileprivate var slot = -1
  fileprivate var index = 0

  /// The deadline passed. On the loop's thread.
  func fire() {}
}
