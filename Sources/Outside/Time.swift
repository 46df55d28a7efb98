/// A moment of the wall clock: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// It may jump; nothing that bounds a wait hangs on it (`MonotonicInstant` does that).
public struct Timestamp: Hashable, Comparable, Sendable, Codable {
  public var microseconds: Int64

  public init(microseconds: Int64) { self.microseconds = microseconds }

  /// Held at the ends of the range.
  public init(seconds: Int64) {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    microseconds = overflow ? (seconds < 0 ? .min : .max) : product
  }

  /// Whole seconds, rounded down.
  public var seconds: Int64 {
    let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
    return remainder < 0 ? quotient - 1 : quotient
  }

  public static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }

  /// `self + duration`, held at the ends of the range.
  public func advanced(by duration: Duration) -> Self {
    let (sum, overflow) = microseconds.addingReportingOverflow(duration.microseconds)
    return Self(microseconds: overflow ? (duration.microseconds < 0 ? .min : .max) : sum)
  }

  /// `self - other`, held at the ends of the range.
  public func since(_ other: Self) -> Duration {
    let (difference, overflow) = microseconds.subtractingReportingOverflow(other.microseconds)
    return .microseconds(overflow ? (microseconds < 0 ? Int64.min : .max) : difference)
  }
}

/// A moment of the monotonic clock: nanoseconds since some start. Only differences mean anything; it never goes back.
public struct MonotonicInstant: Hashable, Comparable, Sendable {
  public var nanoseconds: UInt64

  public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// A moment that never comes.
  public static let never = Self(nanoseconds: .max)

  public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

  /// `self + duration`, held at the ends of the range.
  public func advanced(by duration: Duration) -> Self {
    let step = duration.nanoseconds
    if step >= 0 {
      let (sum, overflow) = nanoseconds.addingReportingOverflow(UInt64(step))
      return overflow ? .never : Self(nanoseconds: sum)
    }
    let (difference, overflow) = nanoseconds.subtractingReportingOverflow(step.magnitude)
    return Self(nanoseconds: overflow ? 0 : difference)
  }

  /// `self - other`; zero if `other` is later.
  public func since(_ other: Self) -> Duration {
    guard nanoseconds > other.nanoseconds else { return .zero }
    return .nanoseconds(Int64(clamping: nanoseconds - other.nanoseconds))
  }
}

extension Duration {
  /// Whole microseconds, held at the ends of `Int64`.
  public var microseconds: Int64 {
    let (seconds, attoseconds) = components
    let (high, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    let (sum, carried) = high.addingReportingOverflow(attoseconds / 1_000_000_000_000)
    return overflow || carried ? (seconds < 0 ? .min : .max) : sum
  }

  /// Whole nanoseconds, held at the ends of `Int64`.
  public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (high, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carried) = high.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow || carried ? (seconds < 0 ? .min : .max) : sum
  }
}

/// What time it is. Everything on floors 1 to 5 asks here, so a simulation can tell it otherwise.
public protocol Clock: Sendable {
  /// The wall clock: for dates people read.
  func now() -> Timestamp

  /// The wall clock as schedules follow it, which survive a restart: when something is due, expires or is forgotten (`SteadyClock`).
  func schedule() -> Timestamp

  /// The monotonic clock: for time-outs and rates.
  func monotonic() -> MonotonicInstant
}

extension Clock {
  /// The wall clock, wherever it jumps.
  public func schedule() -> Timestamp { now() }
}

/// Where randomness comes from. The server's is the system's; a simulation's is seeded.
public protocol RandomSource: Sendable {
  /// 64 uniform bits.
  func next() -> UInt64
}

extension RandomSource {
  /// A uniform number in `0..<bound`; 0 if `bound` is 0.
  public func next(below bound: UInt64) -> UInt64 {
    guard bound > 0 else { return 0 }
    return next().multipliedFullWidth(by: bound).high
  }

  /// `count` uniform bytes; `count` is held to 0...4096.
  public func bytes(_ count: Int) -> [UInt8] {
    var result: [UInt8] = []
    let wanted = min(max(count, 0), 4_096)
    result.reserveCapacity(wanted + 8)
    while result.count < wanted {
      withUnsafeBytes(of: next().littleEndian) { result.append(contentsOf: $0) }
    }
    result.removeLast(result.count - wanted)
    return result
  }
}

/// Wakes straight-line code later. The server's is the timer wheel of the event loop; a simulation's is virtual time.
public protocol Sleeper: Sendable {
  /// Returns at `deadline` or a little later (up to the wheel's tick, 100 ms).
  func sleep(until deadline: MonotonicInstant) async
}
