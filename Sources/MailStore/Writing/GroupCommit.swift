import MailModel
import NIOCore
import Outside
import Synchronization

/// One transaction and one sync for whatever waits.
///
/// Callers hand in a `Member` and wait; the writer takes all that are there, runs them in one transaction in order of arrival, commits,
/// and then resumes all of them. A member that refuses before it wrote anything is told so and harms nobody; one that fails after it wrote
/// makes the group roll back and run one at a time. Lazy members ride along; if no group comes they make one after `lazyWait`.
///
/// While a transaction that will end here is under way (`began`), a group waits `companyWait` from its first member on, unless all
/// that are under way have come. Nothing here blocks: waiting is a job submitted for later.
final class GroupCommit: Sendable {
  private struct State {
    enum Schedule { case idle, delayed, due }
    var schedule = Schedule.idle
    var waiting: [Member] = []
    var lazy: [Member] = []
    var lazyTimer = false
    /// Groups in a row that left lazy members to be tried again.
    var lazyFailures = 0
    /// The group that runs now has lazy members.
    var isLazyRunning = false
    /// When the first of `waiting` came.
    var first = MonotonicInstant(nanoseconds: 0)
    var underWay = 0
    var acceptsWaiting = 0
    /// Accepts that were answered, whose end has not been told yet.
    var answered = 0
    /// A group is running, or the writer is lent out.
    var isBusy = false
    /// Called when nothing waits any more and no group runs.
    var drained: (@Sendable () -> Void)?
    /// Runs between groups, with the writer at rest, until it calls `resume`.
    var pause: (@Sendable () -> Void)?
    var isPaused = false
    var isClosed = false

    var hasCompany: Bool { underWay > acceptsWaiting + answered }
  }

  private let state = Mutex(State())
  private let worker: any SerialWorker
  private let clock: any Clock
  private let limits: StoreLimits
  /// Runs one group on the writer; lazy members to be tried again come back.
  private let run: @Sendable (_ members: [Member], _ lazy: [Member]) -> [Member]

  init(
    worker: any SerialWorker, clock: any Clock, limits: StoreLimits, run: @escaping @Sendable ([Member], [Member]) -> [Member]
  ) {
    self.worker = worker
    self.clock = clock
    self.limits = limits
    self.run = run
  }

  // MARK: Callers

  /// Runs `operation` in the next group; its result after the sync.
  func perform<T: Sendable>(
    _ kind: Member.Kind = .change, body: SpooledBody? = nil, isPassing: Bool = false,
    _ operation: @escaping @Sendable (Writer, BodyPlace?) throws -> T
  ) async throws(StoreError) -> T {
    try await Waiting.result { done in
      enqueue(Call(kind: kind, body: body, isPassing: isPassing, operation: operation, finish: done))
    }
  }

  /// The same for callers that are no tasks: `finish` is called on the writer, exactly once, and must hand over.
  func submit<T: Sendable>(
    _ kind: Member.Kind, _ operation: @escaping @Sendable (Writer) throws -> T,
    finish: @escaping @Sendable (Result<T, StoreError>) -> Void
  ) {
    enqueue(Call(kind: kind, body: nil, operation: { writer, _ in try operation(writer) }, finish: finish))
  }

  /// Runs `operation` in the next group, or in one of its own within `lazyWait`. Nobody waits for it; it is tried until it succeeds
  /// or is refused.
  func later(_ operation: @escaping @Sendable (Writer) throws -> Void) {
    let member = Call(
      kind: .lazy, body: nil, operation: { writer, _ in try operation(writer) }, finish: { (_: Result<Void, StoreError>) in })
    let startTimer = state.withLock { state in
      guard !state.isClosed else { return false }
      state.lazy.append(member)
      defer { state.lazyTimer = true }
      return !state.lazyTimer
    }
    if startTimer { worker.submit(after: .milliseconds(limits.lazyWait)) { self.lazyTimerFired() } }
  }

  /// Whether something lazy has not been committed yet, be it in a group that runs now.
  var hasLazy: Bool { state.withLock { !$0.lazy.isEmpty || $0.isLazyRunning } }

  func began() { state.withLock { $0.underWay += 1 } }

  func ended() {
    let runsNow = state.withLock { state in
      state.underWay = max(state.underWay - 1, 0)
      state.answered = state.underWay == 0 ? 0 : max(state.answered - 1, 0)
      guard state.schedule == .delayed, !state.hasCompany else { return false }
      state.schedule = .due
      return true
    }
    if runsNow { worker.submit { self.runGroup() } }
  }

  private func enqueue(_ member: Member) {
    enum Next { case nothing, now, later, refuse }
    let now = clock.monotonic()
    let next = state.withLock { state -> Next in
      guard !state.isClosed else { return .refuse }
      if state.waiting.isEmpty { state.first = now }
      state.waiting.append(member)
      if member.kind == .accept { state.acceptsWaiting += 1 }
      switch state.schedule {
      case .due: return .nothing
      case .idle where state.hasCompany:
        state.schedule = .delayed
        return .later
      case .delayed where state.hasCompany: return .nothing
      case .idle, .delayed:
        state.schedule = .due
        return .now
      }
    }
    switch next {
    case .nothing: break
    case .refuse: member.fail(.closed)
    case .now: worker.submit { self.runGroup() }
    case .later: worker.submit(after: .microseconds(limits.companyWait)) { self.runGroup() }
    }
  }

  // MARK: The writer

  private func lazyTimerFired() {
    let runs = state.withLock { state in
      state.lazyTimer = false
      return !state.lazy.isEmpty && state.schedule == .idle
    }
    if runs { runGroup() }
  }

  private func runGroup() {
    let taken = state.withLock { state -> (members: [Member], lazy: [Member])? in
      guard !state.isPaused, !state.waiting.isEmpty || !state.lazy.isEmpty else {
        if !state.isPaused { state.schedule = .idle }
        return nil
      }
      state.schedule = .due
      state.isBusy = true
      let members = Array(state.waiting.prefix(limits.groupMembers))
      state.waiting.removeFirst(members.count)
      let accepts = members.count { $0.kind == .accept }
      state.acceptsWaiting -= accepts
      state.answered += min(accepts, max(state.underWay - state.answered, 0))
      defer { state.lazy = [] }
      state.isLazyRunning = !state.lazy.isEmpty
      return (members, state.lazy)
    }
    guard let taken else { return }
    retry(run(taken.members, taken.lazy))
    afterGroup()
  }

  private func afterGroup() {
    let now = clock.monotonic()
    var pause: (@Sendable () -> Void)?
    let wait = state.withLock { state -> Duration? in
      state.isBusy = false
      state.isLazyRunning = false
      pause = state.pause
      state.pause = nil
      if pause != nil {
        state.isPaused = true
        return nil
      }
      return Self.reschedule(&state, now: now, companyWait: limits.companyWait)
    }
    if let pause { return pause() }
    submit(after: wait)
  }

  private static func reschedule(_ state: inout State, now: MonotonicInstant, companyWait: Int) -> Duration? {
    guard !state.waiting.isEmpty else {
      state.schedule = .idle
      return nil
    }
    let left = state.first.advanced(by: .microseconds(companyWait)).since(now)
    if state.hasCompany, left > .zero {
      state.schedule = .delayed
      return left
    }
    state.schedule = .due
    return .zero
  }

  private func submit(after wait: Duration?) {
    guard let wait else { return }
    if wait == .zero { worker.submit { self.runGroup() } } else { worker.submit(after: wait) { self.runGroup() } }
  }

  /// Puts lazy members back, in front, to be tried again: after `lazyWait`, and after twice as long each time that it was in vain, so that a
  /// store that can't be written does not keep itself busy. Whatever group comes earlier takes them along.
  private func retry(_ lazy: [Member]) {
    let wait = state.withLock { state -> Int? in
      guard !lazy.isEmpty else {
        state.lazyFailures = 0
        return nil
      }
      state.lazy.insert(contentsOf: lazy, at: 0)
      state.lazyFailures = min(state.lazyFailures + 1, Self.longestRetry)
      defer { state.lazyTimer = true }
      return state.lazyTimer ? nil : limits.lazyWait << (state.lazyFailures - 1)
    }
    if let wait { worker.submit(after: .milliseconds(wait)) { self.lazyTimerFired() } }
  }

  /// Doublings of the wait before lazy members are tried again: with 40 ms, 5 s.
  private static let longestRetry = 8

  // MARK: Pauses

  /// Calls `body` as soon as no group runs; none begins until `resume`. `body` must hand over at once. False if a pause is under way.
  func pause(_ body: @escaping @Sendable () -> Void) -> Bool {
    enum Answer { case refused, now, later }
    let answer = state.withLock { state -> Answer in
      guard !state.isPaused, state.pause == nil else { return .refused }
      if state.isBusy {
        state.pause = body
        return .later
      }
      state.isPaused = true
      return .now
    }
    if answer == .now { body() }
    return answer != .refused
  }

  /// Ends a pause.
  func resume() {
    let now = clock.monotonic()
    let wait = state.withLock { state -> Duration? in
      state.isPaused = false
      if state.waiting.isEmpty, !state.lazy.isEmpty {
        state.schedule = .due
        return .zero
      }
      return Self.reschedule(&state, now: now, companyWait: limits.companyWait)
    }
    submit(after: wait)
  }

  /// From now on every call is refused with `closed`; what waits is still run.
  func refuseNew() { state.withLock { $0.isClosed = true } }

  /// Runs what waits, lazy members too, then calls `done` on the writer. Only after `refuseNew`.
  func drain(_ done: @escaping @Sendable () -> Void) {
    state.withLock { $0.drained = done }
    worker.submit { self.drainStep(attempts: 3) }
  }

  /// Lazy members that fail again and again are given up: what they would have removed is attempted once more after the next start.
  private func drainStep(attempts: Int) {
    runGroup()
    let (done, again) = state.withLock { state -> ((@Sendable () -> Void)?, Bool) in
      let isBusy = state.isBusy || state.isPaused || !state.waiting.isEmpty
      if isBusy || (!state.lazy.isEmpty && attempts > 0) { return (nil, state.drained != nil) }
      defer { state.drained = nil }
      return (state.drained, false)
    }
    if let done { return done() }
    if again { worker.submit(after: .milliseconds(1)) { self.drainStep(attempts: attempts - 1) } }
  }
}
