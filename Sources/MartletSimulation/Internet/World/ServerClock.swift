import Outside
import Synchronization

/// The clocks of one server: the monotonic one is the world's, the wall clock is set as its administrator (or a fault) sets it.
final class ServerClock: Clock {
  private let world: VirtualClock
  private let offset = Mutex(Duration.zero)

  init(_ world: VirtualClock) { self.world = world }

  func now() -> Timestamp { world.now().advanced(by: offset.withLock { $0 }) }
  func monotonic() -> MonotonicInstant { world.monotonic() }

  /// How far the wall clock is from the right time.
  var error: Duration { offset.withLock { $0 } }

  func set(_ error: Duration) { offset.withLock { $0 = error } }
}
