import NIOCore
import Synchronization

/// Runs the tasks of one event loop's sessions on that loop's own thread.
///
/// A session's root task prefers this executor, so whatever resumes it ends up here. Resumed by a handler of the loop (bytes
/// came, a deadline passed), the job is gathered and run before the handler returns: no hop, no wake-up. Resumed from another
/// thread (a commit, an answer of the resolver), jobs are handed over in batches, one `execute` each.
///
/// A job that is made ready while jobs run (a session that yields, one that wakes another) waits for the loop's next turn, so
/// a busy session can't keep the loop from its other connections.
///
/// - Confinement: `ready`, `isGathering` and `turnIsScheduled` are touched on the loop's thread only, `foreign` is behind a
///   lock. That is what makes `@unchecked Sendable` true.
public final class LoopExecutor: TaskExecutor, @unchecked Sendable {
  /// The loop whose thread runs the jobs.
  public let loop: any EventLoop

  private var ready: [UnownedJob] = []
  private var running: [UnownedJob] = []
  private var isGathering = false
  private var turnIsScheduled = false
  private let foreign = Mutex<[UnownedJob]>([])

  /// Makes the executor of `loop`.
  public init(loop: any EventLoop) {
    self.loop = loop
  }

  /// Takes a job from the concurrency runtime; called on any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if loop.inEventLoop {
      ready.append(job)
      if !isGathering { scheduleTurn() }
    } else {
      let isFirst = foreign.withLock { jobs in
        jobs.append(job)
        return jobs.count == 1
      }
      if isFirst { loop.execute { self.takeForeign() } }
    }
  }

  /// Runs `body`, a handler's event, then the jobs it made ready. Called on the loop's thread; nested calls only run `body`.
  @inline(__always)
  func gather(_ body: () -> Void) {
    guard !isGathering else {
      body()
      return
    }
    isGathering = true
    body()
    if !ready.isEmpty { drain() }
    isGathering = false
  }

  /// Runs what was ready at the call; what these jobs make ready is left to the next turn.
  private func drain() {
    swap(&ready, &running)
    let executor = asUnownedTaskExecutor()
    for job in running {
      job.runSynchronously(on: executor)
    }
    running.removeAll(keepingCapacity: true)
    if !ready.isEmpty { scheduleTurn() }
  }

  private func scheduleTurn() {
    guard !turnIsScheduled else { return }
    turnIsScheduled = true
    loop.execute {
      self.turnIsScheduled = false
      self.gather {}
    }
  }

  private func takeForeign() {
    let jobs = foreign.withLock { jobs in
      let taken = jobs
      jobs = []
      return taken
    }
    gather { ready.append(contentsOf: jobs) }
  }
}
