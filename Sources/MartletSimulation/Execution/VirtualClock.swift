import Outside
import Synchronization

/// Time that passes only when the simulation says so. The wall clock may be set to anything, the monotonic one only goes on.
public final class VirtualClock: Clock {
  private struct State {
    var monotonic = MonotonicInstant(nanoseconds: 1_000_000_000)
    var wallOffset: Timestamp
  }

  private let state: Mutex<State>

  /// Starts at `now` (default 2026-01-01T00:00:00Z).
  public init(now: Timestamp = Timestamp(seconds: 1_767_225_600)) { state = Mutex(State(wallOffset: now)) }

  public func now() -> Timestamp {
    state.withLock { $0.wallOffset.advanced(by: .nanoseconds(Int64(clamping: $0.monotonic.nanoseconds))) }
  }

  public func monotonic() -> MonotonicInstant { state.withLock { $0.monotonic } }

  /// Lets time pass up to `instant`; an earlier one changes nothing.
  public func advance(to instant: MonotonicInstant) {
    state.withLock { $0.monotonic = max($0.monotonic, instant) }
  }

  /// Lets time pass.
  public func advance(by duration: Duration) { advance(to: monotonic().advanced(by: max(duration, .zero))) }

  /// Sets the wall clock forward or back, as an administrator or a broken time server does (HOSTILE 59).
  public func jump(by duration: Duration) {
    state.withLock { $0.wallOffset = $0.wallOffset.advanced(by: duration) }
  }
}
