import Bytes
import Synchronization

/// A clock whose schedule does not follow a wall clock that jumps.
///
/// A wall clock that is set ten years ahead would return every queued message, empty the trace and end all leases at once; one that is
/// set a day back would keep deferred mail for a day (HOSTILE 59). So schedules run on the monotonic clock: they are the wall clock's
/// time until that moves by more than `tolerance` against the monotonic one, at once or little by little within a day (as one that stands
/// still does), and then keep their old course for `patience`, in which a
/// person can see the warning and set the clock right. What the wall clock says after that is believed.
///
/// A machine that was suspended looks the same as a clock that was set ahead: nothing is returned for its age until it had a day to be
/// delivered in.
public final class SteadyClock: Clock {
  /// What became of the schedule.
  public enum Event: Hashable, Sendable {
    /// The wall clock moved by this much against the monotonic one.
    case jumped(by: Duration)
    /// The wall clock is back on the schedule's course.
    case returned
    /// The wall clock is believed from now on; the schedule moves by this much.
    case believed(after: Duration)
  }

  /// A step that is no jump: what time servers correct while all runs. 10 min.
  public static let tolerance = Duration.seconds(600)
  /// How long a jump is not believed. A day.
  public static let patience = Duration.seconds(86_400)

  private struct State {
    var wall: Timestamp
    var monotonic: MonotonicInstant
    /// From the wall clock to the schedule.
    var offset = Duration.zero
    var jumped: MonotonicInstant?
    /// What steps that were none by themselves came to since `since`.
    var drift = Duration.zero
    var since: MonotonicInstant
  }

  private let base: any Clock
  private let state: Mutex<State>
  private let report: @Sendable (Event) -> Void

  /// - Parameter report: called on the thread that noticed, outside of any lock; must not wait.
  public init(_ base: any Clock, report: @escaping @Sendable (Event) -> Void = { _ in }) {
    self.base = base
    self.report = report
    let monotonic = base.monotonic()
    state = Mutex(State(wall: base.now(), monotonic: monotonic, since: monotonic))
  }

  public func now() -> Timestamp { base.now() }
  public func monotonic() -> MonotonicInstant { base.monotonic() }

  /// How far the schedule is from the wall clock; zero while all is well.
  public var offset: Duration { state.withLock { $0.offset } }

  public func schedule() -> Timestamp {
    let (time, event) = state.withLock { state -> (Timestamp, Event?) in
      let wall = base.now()
      let monotonic = base.monotonic()
      // Another thread may have looked later than this one's reading.
      guard monotonic >= state.monotonic else { return (state.wall.advanced(by: state.offset), nil) }
      var step = wall.since(state.wall.advanced(by: monotonic.since(state.monotonic)))
      state.wall = wall
      state.monotonic = monotonic
      if !step.isBeyond(Self.tolerance) { step = Self.gathered(step, &state) }
      let event = Self.follow(step, &state)
      return (wall.advanced(by: state.offset), event)
    }
    if let event { report(event) }
    return time
  }

  /// A small step; or, when all of a day are together beyond `tolerance`, what they came to.
  private static func gathered(_ step: Duration, _ state: inout State) -> Duration {
    if state.monotonic.since(state.since) >= patience {
      state.since = state.monotonic
      state.drift = .zero
    }
    state.drift = .microseconds(state.drift.microseconds.addedClamped(step.microseconds))
    guard state.drift.isBeyond(tolerance) else { return step }
    defer { (state.drift, state.since) = (.zero, state.monotonic) }
    return state.drift
  }

  private static func follow(_ step: Duration, _ state: inout State) -> Event? {
    if step.isBeyond(tolerance) {
      state.offset = .microseconds(state.offset.microseconds.subtractedClamped(step.microseconds))
      guard state.offset.isBeyond(tolerance) else {
        state.offset = .zero
        state.jumped = nil
        return .returned
      }
      state.jumped = state.monotonic
      return .jumped(by: step)
    }
    guard let jumped = state.jumped, state.monotonic.since(jumped) >= patience else { return nil }
    let moved = state.offset
    state.offset = .zero
    state.jumped = nil
    return .believed(after: .zero - moved)
  }
}

extension Duration {
  fileprivate func isBeyond(_ limit: Duration) -> Bool { self > limit || self < .zero - limit }
}

extension Clock {
  /// What the wall clock will say at `time` of the schedule, for people to read.
  public func wall(of time: Timestamp) -> Timestamp {
    let offset = now().since(schedule())
    // Two readings of one clock differ a little.
    return offset.isBeyond(.seconds(1)) ? time.advanced(by: offset) : time
  }
}
