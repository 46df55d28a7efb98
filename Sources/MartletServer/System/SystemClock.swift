import Glibc
import Outside

/// The kernel's clocks.
public struct SystemClock: Clock {
  /// Makes one; it has no state.
  public init() {}

  public func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let (high, overflow) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000)
    return Timestamp(microseconds: overflow ? .max : high &+ Int64(time.tv_nsec / 1_000))
  }

  public func monotonic() -> MonotonicInstant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicInstant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
  }
}
