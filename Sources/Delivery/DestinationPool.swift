import Outside
import Routing

/// Jobs for one group of hosts, and the connections that carry them.
///
/// The number of connections grows with success, up to `connectionsPerDestination`, and halves when the host says 421 or does not
/// answer. After some failures in a row the circuit opens: what waits goes back to the queue with the reason, nothing is tried
/// until a pause is over, then one connection is the probe.
///
/// `@unchecked Sendable` is true since one thread alone touches it: only `Scheduler.pools` and workers hold one, and every way in to them
/// (`serve`, `finished`, `workerEnded`, `connectionFailed`, `withdraw`) checks that it is on delivery's loop (`Scheduler.confine`).
final class DestinationPool: @unchecked Sendable {
  let key: String
  /// The newest route to these hosts.
  var route: Route
  private(set) var limits: DeliveryLimits
  private(set) var times: DeliveryTimes

  private(set) var workers = 0
  /// Those before `head` have been taken (and are nil).
  private var queue: [Job?] = []
  private var head = 0
  /// Jobs whose connection is being made.
  private(set) var starting: [Job] = []
  /// Workers that wait for a job on an open connection, the last used last.
  private var idle: [Worker] = []
  private var window: Int
  private var failures = 0
  private var pause: Duration
  /// Nothing is tried before.
  private(set) var closedUntil: MonotonicInstant?
  /// The last failure, for those who are sent back.
  private(set) var lastProblem: DeliveryProblem?

  /// What is known of the destination.
  enum Standing { case proven, unknown, suspect }

  var standing: Standing { failures > 0 ? .suspect : isProven ? .proven : .unknown }
  /// The last attempt failed.
  var isSuspect: Bool { failures > 0 }
  /// It has taken a message, and not failed since.
  private(set) var isProven = false
  /// It waits for a free connection (scheduler's list).
  var isWaiting = false
  var lastUsed: MonotonicInstant

  init(key: String, route: Route, limits: DeliveryLimits, times: DeliveryTimes, now: MonotonicInstant) {
    self.key = key
    self.route = route
    self.limits = limits
    self.times = times
    self.window = max(limits.firstConnections, 1)
    self.pause = times.circuit
    self.lastUsed = now
  }

  /// Takes other limits, for the connections and failures to come.
  func update(_ limits: DeliveryLimits, _ times: DeliveryTimes) { (self.limits, self.times) = (limits, times) }

  var count: Int { queue.count - head }
  var idleCount: Int { idle.count }
  var isUnused: Bool { workers == 0 && count == 0 }

  /// Whether the circuit is open: jobs are to be sent back.
  func isClosed(at now: MonotonicInstant) -> Bool {
    guard let closedUntil else { return false }
    return now < closedUntil
  }

  // MARK: Jobs

  func append(_ job: Job) { queue.append(job) }

  /// A job that could not be done by no fault of its own comes first again.
  func putBack(_ job: Job) {
    if head > 0 {
      head -= 1
      queue[head] = job
    } else {
      queue.insert(job, at: 0)
    }
  }

  func take() -> Job? {
    guard head < queue.count else { return nil }
    let job = queue[head]
    queue[head] = nil
    head += 1
    if head == queue.count {
      queue.removeAll(keepingCapacity: true)
      head = 0
    } else if head > 1_024, head * 2 > queue.count {
      queue.removeFirst(head)
      head = 0
    }
    return job
  }

  /// Lets `take` take recipients out of the jobs that wait; those that have none left, which wait no more.
  func withdraw(where take: (Job) -> Void) -> [Job] {
    let waiting = queue[head...].compactMap { $0 }
    for job in waiting { take(job) }
    queue = waiting.filter { !$0.entries.isEmpty }
    head = 0
    return waiting.filter(\.entries.isEmpty)
  }

  func connects(for job: Job) { starting.append(job) }
  func connected(for job: Job) { starting.removeAll { $0 === job } }

  func takeAll() -> [Job] {
    let all = queue[head...].compactMap { $0 }
    queue.removeAll()
    head = 0
    return all
  }

  // MARK: Workers

  /// Wakes an idle worker for what waits; false if there is none.
  func wakeIdle() -> Bool {
    guard let worker = idle.popLast() else { return false }
    worker.wake()
    return true
  }

  /// Lets one idle worker close its connection, since its place is wanted elsewhere.
  func dismissIdle() { idle.popLast()?.wake(quitting: true) }

  /// Whether another connection would help, and may be made.
  func wantsWorker(at now: MonotonicInstant) -> Bool {
    guard count > 0, !isClosed(at: now) else { return false }
    // A probe goes alone. Beyond that, a busy connection takes the next job behind its final dot, so one that waits is no reason yet.
    if closedUntil != nil { return workers == 0 }
    return workers < min(window, limits.connectionsPerDestination) && count > workers / 4
  }

  func workerBegan() { workers += 1 }
  func workerEnded() { workers -= 1 }
  func rest(_ worker: Worker) { idle.append(worker) }
  func stopResting(_ worker: Worker) { idle.removeAll { $0 === worker } }

  // MARK: What they learnt

  /// A message was taken, or refused for its own sake: the host lives.
  func succeeded() {
    isProven = true
    failures = 0
    closedUntil = nil
    pause = times.circuit
    if window < limits.connectionsPerDestination { window += 1 }
  }

  /// The host said 421, was silent, or can't be reached. Whether the circuit opened.
  func failed(_ problem: DeliveryProblem, at now: MonotonicInstant) -> Bool {
    lastProblem = problem
    failures += 1
    isProven = false
    window = max(window / 2, 1)
    guard failures >= max(limits.circuitFailures, 1) else { return false }
    if !isClosed(at: now) {
      closedUntil = now.advanced(by: pause)
      pause = min(pause * 2, times.longestCircuit)
    }
    return true
  }

  /// A person wants it tried now.
  func reset() {
    closedUntil = nil
    failures = 0
    pause = times.circuit
  }
}
