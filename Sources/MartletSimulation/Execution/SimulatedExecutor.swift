import Outside
import Synchronization

/// Runs tasks, workers' jobs and timers on one thread, in an order that a seed chooses and repeats.
///
/// Whatever is ready is run one at a time, the next one drawn by the seed; when nothing is ready, virtual time goes on to the next timer.
/// Code that leaves its task's executor (a detached task, an actor with an executor of its own) leaves the simulation.
public final class SimulatedExecutor: TaskExecutor, WorkerProvider, Sleeper {
  /// Nothing is ready and nothing will be, but the work has not ended.
  public struct Stuck: Error, CustomStringConvertible {
    public var description: String { "the simulation waits for something that will never come" }
  }

  public let clock: VirtualClock
  public let random: SeededRandom
  private let state = Mutex(State())

  private enum Item {
    case job(UnownedJob)
    case worker(SimulatedWorker)
  }

  private struct Timer: TimerOrder {
    var due: MonotonicInstant
    var order: UInt64
    var run: @Sendable () -> Void

    static func < (left: Self, right: Self) -> Bool { (left.due, left.order) < (right.due, right.order) }
  }

  private struct State {
    var ready: [Item] = []
    var timers = TimerHeap<Timer>()
    var order: UInt64 = 0
    var interrupts: [@Sendable () -> Void] = []
  }

  public init(seed: UInt64, clock: VirtualClock = VirtualClock()) {
    self.random = SeededRandom(seed: seed)
    self.clock = clock
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.ready.append(.job(job)) }
  }

  public func makeSerialWorker(named name: String) -> any SerialWorker { SimulatedWorker(executor: self) }

  public func sleep(until deadline: MonotonicInstant) async {
    await withUnsafeContinuation { continuation in
      wake(at: deadline) { continuation.resume() }
    }
  }

  /// Runs `work` and everything it starts until it ends.
  public func run<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) throws -> T {
    let box = Box<T>()
    _ = Task(executorPreference: self) {
      let outcome: Result<T, any Error>
      do { outcome = .success(try await work()) } catch { outcome = .failure(error) }
      box.set(outcome)
    }
    while !box.isSet {
      guard step() else { throw Stuck() }
    }
    return try box.get()
  }

  /// Runs what is ready, and timers as they come due, until nothing is left or `deadline` is reached.
  public func settle(until deadline: MonotonicInstant = .never) {
    while true {
      if runReady() { continue }
      guard let due = state.withLock({ $0.timers.first?.due }), due <= deadline else { return }
      guard step() else { return }
    }
  }

  /// Drops what is ready and all timers: they hold what they would run, which holds this executor. Call it when a simulation is over.
  public func stop() {
    let dropped = state.withLock { state in
      defer { state = State() }
      return state
    }
    withExtendedLifetime(dropped) {}
  }

  /// Runs one ready item, or lets time pass to the next timer; false if there is neither.
  private func step() -> Bool {
    if runReady() { return true }
    guard let timer = state.withLock({ $0.timers.popFirst() }) else { return false }
    clock.advance(to: timer.due)
    timer.run()
    return true
  }

  private func runReady() -> Bool {
    if let interrupt = state.withLock({ $0.interrupts.isEmpty ? nil : $0.interrupts.removeFirst() }) {
      interrupt()
      return true
    }
    let item = state.withLock { state -> Item? in
      guard !state.ready.isEmpty else { return nil }
      let index = state.ready.count == 1 ? 0 : Int(clamping: random.next(below: UInt64(state.ready.count)))
      // Which one comes next is drawn, so their order means nothing and a hole may be filled with the last.
      state.ready.swapAt(index, state.ready.count - 1)
      return state.ready.removeLast()
    }
    switch item {
    case nil: return false
    case .job(let job): job.runSynchronously(on: asUnownedTaskExecutor())
    case .worker(let worker): worker.runOne()
    }
    return true
  }

  /// Runs `body` before anything else that is ready, outside of what runs now: a process that dies in the middle of a write takes no
  /// step more.
  func interrupt(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.interrupts.append(body) } }

  func ready(_ worker: SimulatedWorker) { state.withLock { $0.ready.append(.worker(worker)) } }

  func wake(at due: MonotonicInstant, _ run: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.order += 1
      state.timers.insert(Timer(due: due, order: state.order, run: run))
    }
  }
}

/// A worker of the simulation: its jobs run in order, between those of others.
final class SimulatedWorker: SerialWorker {
  private let executor: SimulatedExecutor
  private let jobs = Mutex<[@Sendable () -> Void]>([])

  init(executor: SimulatedExecutor) { self.executor = executor }

  func submit(_ job: @escaping @Sendable () -> Void) {
    let isFirst = jobs.withLock { jobs in
      jobs.append(job)
      return jobs.count == 1
    }
    if isFirst { executor.ready(self) }
  }

  func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
    executor.wake(at: executor.clock.monotonic().advanced(by: delay)) { self.submit(job) }
  }

  /// Runs the first job. It stays in the queue meanwhile, so that the worker is not announced twice.
  func runOne() {
    guard let job = jobs.withLock({ $0.first }) else { return }
    job()
    let isMore = jobs.withLock { jobs in
      jobs.removeFirst()
      return !jobs.isEmpty
    }
    if isMore { executor.ready(self) }
  }
}

/// A result that is set once.
private final class Box<T: Sendable>: Sendable {
  private let result = Mutex<Result<T, any Error>?>(nil)

  var isSet: Bool { result.withLock { $0 != nil } }

  func set(_ outcome: Result<T, any Error>) { result.withLock { $0 = outcome } }

  func get() throws -> T {
    guard let outcome = result.withLock({ $0 }) else { throw SimulatedExecutor.Stuck() }
    return try outcome.get()
  }
}
