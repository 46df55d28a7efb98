import NIOCore
import Outside

/// Sleeps on the calling loop's timer wheel (the first loop's when called from elsewhere): up to a tick, 100 ms, late.
public struct LoopSleeper: Sleeper {
  private let loops: ServerLoops

  /// Sleeps on `loops`.
  public init(loops: ServerLoops) {
    self.loops = loops
  }

  public func sleep(until deadline: MonotonicInstant) async {
    let home = loops.current
    await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      if home.loop.inEventLoop {
        home.wheel.set(Alarm(continuation), to: deadline)
      } else {
        home.loop.execute { home.wheel.set(Alarm(continuation), to: deadline) }
      }
    }
  }
}

/// A sleeper's place in the wheel; fires once.
private final class Alarm: TimerEntry {
  private let continuation: UnsafeContinuation<Void, Never>

  init(_ continuation: UnsafeContinuation<Void, Never>) {
    self.continuation = continuation
  }

  override func fire() {
    continuation.resume()
  }
}
