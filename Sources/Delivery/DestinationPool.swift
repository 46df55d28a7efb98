import Outside
import Routing

/// Jobs for one group of hosts under the same rules, and the connections that carry them.
///
/// How many connections a host gets is its `HostGate`'s to say, which pools with a host in common share; how fast messages may go, the
/// `DestinationBudget`'s.
///
/// Not `Sendable`: it lives and dies on delivery's loop.
final class DestinationPool {
  let key: String
  /// The newest route to these hosts.
  var route: Route
  private(set) var limits: DeliveryLimits
  /// What `[[destination]]` says of it; nil: nothing.
  let budget: DestinationBudget?

  private(set) var workers = 0
  /// Workers whose hosts have greeted.
  private(set) var established = 0
  /// Those before `head` have been taken (and are nil).
  private var queue: [Job?] = []
  private var head = 0
  /// Jobs whose connection is being made.
  private(set) var starting: [Job] = []
  /// Workers that wait for a job on an open connection, the last used last.
  private var idle: [Worker] = []
  private var failures = 0
  /// The last failure, for people.
  private(set) var lastProblem: DeliveryProblem?
  /// Messages taken lately.
  var rate = RateMeter()
  /// What its last job was gathered by: a domain or a next hop's name.
  var lastGroup = ""

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

  init(key: String, route: Route, budget: DestinationBudget?, limits: DeliveryLimits, now: MonotonicInstant) {
    self.key = key
    self.route = route
    self.budget = budget
    self.limits = limits
    self.lastUsed = now
  }

  /// Takes other limits, for the connections to come.
  func update(_ limits: DeliveryLimits) { self.limits = limits }

  var count: Int { queue.count - head }
  var idleCount: Int { idle.count }
  var isUnused: Bool { workers == 0 && count == 0 }

  /// Whether a job waits and its rate lets one go now.
  func isReady(at now: MonotonicInstant) -> Bool { count > 0 && (budget?.mayStart(at: now) ?? true) }

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

  /// The next job, if its rate lets one go now.
  func take(at now: MonotonicInstant) -> Job? {
    guard head < queue.count, isReady(at: now) else { return nil }
    budget?.start(at: now)
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

  /// Whether another connection would help.
  func wantsWorker(at now: MonotonicInstant) -> Bool {
    // A busy connection takes the next job behind its final dot, so one that waits is no reason yet.
    isReady(at: now) && workers < limits.connectionsPerDestination && count > workers / 4
  }

  func workerBegan() { workers += 1 }
  func workerEstablished() { established += 1 }
  func workerEnded(wasEstablished: Bool) {
    workers -= 1
    if wasEstablished { established -= 1 }
  }
  func rest(_ worker: Worker) { idle.append(worker) }
  func stopResting(_ worker: Worker) { idle.removeAll { $0 === worker } }

  // MARK: What they learnt

  /// A message was taken, or refused for its own sake: the host lives.
  func succeeded() {
    isProven = true
    failures = 0
  }

  /// The host said 421, was silent, or can't be reached.
  func failed(_ problem: DeliveryProblem) {
    lastProblem = problem
    failures += 1
    isProven = false
  }

  /// A person wants it tried now.
  func reset() { failures = 0 }
}
