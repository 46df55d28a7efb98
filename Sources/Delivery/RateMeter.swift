import Outside

/// Events of the last minute, in slots of five seconds.
struct RateMeter {
  private static let slots = 12
  private static let slot: UInt64 = 5_000_000_000

  private var counts: [UInt32] = []
  /// The number of the slot counted last, since the clock's zero.
  private var last: UInt64 = 0

  private mutating func move(to now: MonotonicInstant) {
    let current = now.nanoseconds / Self.slot
    if counts.isEmpty { counts = Array(repeating: 0, count: Self.slots) }
    guard current > last else { return }
    for step in 1...min(current - last, UInt64(Self.slots)) { counts[Int((last &+ step) % UInt64(Self.slots))] = 0 }
    last = current
  }

  mutating func count(at now: MonotonicInstant) {
    move(to: now)
    counts[Int(last % UInt64(Self.slots))] &+= 1
  }

  /// Events in the last minute (55 to 60 seconds).
  mutating func perMinute(at now: MonotonicInstant) -> Int {
    guard !counts.isEmpty else { return 0 }
    move(to: now)
    return counts.reduce(0) { $0 + Int($1) }
  }
}
