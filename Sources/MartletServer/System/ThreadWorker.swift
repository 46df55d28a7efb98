import CLinux
import Glibc
import Outside

/// A thread of its own for blocking work: jobs run one at a time, first come first served.
///
/// A delayed job runs when its time has come and the thread is free, before jobs that were queued after that moment. The
/// condition variable waits on the monotonic clock, precise to about 0.1 ms.
///
/// - Confinement: everything is guarded by `mutex`. That is what makes `@unchecked Sendable` true.
/// - Ends: `stop` lets what is queued run (delayed jobs at once), then the thread ends. Jobs submitted later never run.
public final class ThreadWorker: SerialWorker, @unchecked Sendable {
  private struct Delayed {
    var due: MonotonicInstant
    var job: @Sendable () -> Void
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let clock = SystemClock()
  private var queue: [@Sendable () -> Void] = []
  private var delayed: [Delayed] = []
  private var isStopping = false
  private var isWaiting = false
  private var thread = pthread_t()

  /// Starts the thread. Its stack is 1 MiB.
  ///
  /// - Parameter name: at most 15 ASCII characters, as `top -H` shows it.
  public init(named name: String) {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
    Self.startThread(&thread, named: name) { self.run() }
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  public func submit(_ job: @escaping @Sendable () -> Void) {
    pthread_mutex_lock(mutex)
    queue.append(job)
    let wake = isWaiting
    pthread_mutex_unlock(mutex)
    if wake { pthread_cond_signal(condition) }
  }

  public func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
    let due = clock.monotonic().advanced(by: delay)
    pthread_mutex_lock(mutex)
    // Sorted by time, latest first; equal times keep their order. There are only ever a few.
    let place = delayed.firstIndex { $0.due <= due } ?? delayed.endIndex
    delayed.insert(Delayed(due: due, job: job), at: place)
    let wake = isWaiting
    pthread_mutex_unlock(mutex)
    if wake { pthread_cond_signal(condition) }
  }

  /// Lets the queued jobs run, then ends the thread; returns when it has ended. Not to be called by a job.
  public func stop() {
    pthread_mutex_lock(mutex)
    let already = isStopping
    isStopping = true
    pthread_mutex_unlock(mutex)
    pthread_cond_signal(condition)
    if !already { pthread_join(thread, nil) }
  }

  private func run() {
    var batch: [@Sendable () -> Void] = []
    while true {
      pthread_mutex_lock(mutex)
      takeDue()
      while queue.isEmpty && !isStopping {
        isWaiting = true
        wait()
        isWaiting = false
        takeDue()
      }
      if queue.isEmpty {
        pthread_mutex_unlock(mutex)
        return
      }
      swap(&batch, &queue)
      pthread_mutex_unlock(mutex)
      for job in batch { job() }
      batch.removeAll(keepingCapacity: true)
    }
  }

  /// Moves delayed jobs whose time has come to the queue. The lock is held.
  private func takeDue() {
    guard !delayed.isEmpty else { return }
    let now = clock.monotonic()
    while let last = delayed.last, last.due <= now || isStopping {
      delayed.removeLast()
      queue.append(last.job)
    }
  }

  private func wait() {
    guard let next = delayed.last else {
      pthread_cond_wait(condition, mutex)
      return
    }
    var time = timespec()
    time.tv_sec = Int(next.due.nanoseconds / 1_000_000_000)
    time.tv_nsec = Int(next.due.nanoseconds % 1_000_000_000)
    pthread_cond_timedwait(condition, mutex, &time)
  }
}

extension ThreadWorker {
  private final class Entry {
    let name: String
    let body: () -> Void
    init(name: String, body: @escaping () -> Void) {
      self.name = name
      self.body = body
    }
  }

  /// Starts a thread without which the server can't keep its promises: if none can be made, the process ends with status 75, and
  /// the supervisor starts it anew (HOSTILE 60).
  static func startThread(_ thread: inout pthread_t, named name: String, _ body: @escaping () -> Void) {
    let status = tryThread(&thread, named: name, body)
    if status != 0 { giveUp(name, status) }
  }

  /// Makes sure that `count` threads can be made now, for a library that would trap if they can't; else ends as `startThread` does.
  static func require(_ count: Int, for name: String) {
    let status = probe(count)
    if status != 0 { giveUp(name, status) }
  }

  /// Whether `count` threads can be made now, for a library that does not tell: 0, or why not (`errno`).
  static func probe(_ count: Int) -> CInt {
    var gate = pthread_mutex_t()
    pthread_mutex_init(&gate, nil)
    defer { pthread_mutex_destroy(&gate) }
    return withUnsafeMutablePointer(to: &gate) { gate in
      var threads: [pthread_t] = []
      var status: CInt = 0
      // None ends before all are there.
      pthread_mutex_lock(gate)
      while status == 0, threads.count < count {
        var thread = pthread_t()
        status = tryThread(&thread, named: "probe") {
          pthread_mutex_lock(gate)
          pthread_mutex_unlock(gate)
        }
        if status == 0 { threads.append(thread) }
      }
      pthread_mutex_unlock(gate)
      for thread in threads { pthread_join(thread, nil) }
      return status
    }
  }

  private static func giveUp(_ name: String, _ status: CInt) -> Never {
    let text = "martlet: can't start the thread \(name): \(String(cString: strerror(status)))\n"
    _ = write(2, text, text.utf8.count)
    exit(75)
  }

  /// Starts a thread that blocks all signals, so that they reach the one that waits for them. 0, or why there is none (`errno`).
  static func tryThread(_ thread: inout pthread_t, named name: String, _ body: @escaping () -> Void) -> CInt {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 1_048_576)
    let entry = Unmanaged.passRetained(Entry(name: String(name.prefix(15)), body: body))
    var everything = sigset_t()
    var before = sigset_t()
    sigfillset(&everything)
    pthread_sigmask(SIG_SETMASK, &everything, &before)
    let status = pthread_create(
      &thread, &attributes,
      { argument in
        guard let argument else { return nil }
        let entry = Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue()
        clinux_name_thread(entry.name)
        entry.body()
        return nil
      }, entry.toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    pthread_attr_destroy(&attributes)
    if status != 0 { entry.release() }
    return status
  }
}

/// Makes a `ThreadWorker` for each part that asks.
public struct ThreadWorkerProvider: WorkerProvider {
  /// Makes the provider; it has no state.
  public init() {}

  public func makeSerialWorker(named name: String) -> any SerialWorker {
    ThreadWorker(named: name)
  }
}
