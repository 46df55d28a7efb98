import Outside
import Synchronization

/// A few workers for what costs tens of milliseconds and megabytes (Argon2), shared fairly.
///
/// Who asks for much waits behind himself: each network has a queue of its own, and the queues take turns (HOSTILE 50). What waits is
/// bounded in all and for each network; what is over is told so at once.
///
/// - Continuations: each caller's is resumed exactly once, by the worker that ran its job.
final class PasswordPool: Sendable {
  /// Whose turn it is: IPv4 /24, IPv6 /48, or whoever has no address.
  typealias Key = NetworkPrefix?

  private typealias Job = @Sendable () -> Void

  private struct State {
    var queues: [Key: [Job]] = [:]
    /// Networks with something waiting, next first.
    var turns: [Key] = []
    var waiting = 0
    var idle: [Int]
  }

  private let workers: [any SerialWorker]
  private let limits: PasswordLimits
  private let state: Mutex<State>

  init(workers: [any SerialWorker], limits: PasswordLimits) {
    self.workers = workers
    self.limits = limits
    self.state = Mutex(State(idle: Array(workers.indices)))
  }

  static func key(of address: IPAddress?) -> Key {
    address.map { NetworkPrefix(address: $0, length: $0.isIPv4 ? 24 : 48) }
  }

  /// What `body` gives, run by a worker; nil if too much waits already.
  func run<Value: Sendable>(for key: Key, _ body: @escaping @Sendable () -> Value) async -> Value? {
    await withUnsafeContinuation { continuation in
      let isTaken = submit(key) { continuation.resume(returning: body()) }
      if !isTaken { continuation.resume(returning: nil) }
    }
  }

  private func submit(_ key: Key, _ job: @escaping Job) -> Bool {
    enum Next { case refused, queued, run(Int) }
    let next = state.withLock { state -> Next in
      if let worker = state.idle.popLast() { return .run(worker) }
      let ahead = state.queues[key]?.count ?? 0
      guard state.waiting < limits.waiting, ahead < limits.waitingOfNetwork else { return .refused }
      if ahead == 0 { state.turns.append(key) }
      state.queues[key, default: []].append(job)
      state.waiting += 1
      return .queued
    }
    switch next {
    case .refused: return false
    case .queued: return true
    case .run(let worker):
      start(job, on: worker)
      return true
    }
  }

  private func start(_ job: @escaping Job, on worker: Int) {
    workers[worker].submit {
      job()
      self.finished(worker)
    }
  }

  private func finished(_ worker: Int) {
    let next = state.withLock { state -> Job? in
      guard let key = state.turns.first, var queue = state.queues[key], let job = queue.first else {
        state.idle.append(worker)
        return nil
      }
      state.turns.removeFirst()
      queue.removeFirst()
      state.waiting -= 1
      state.queues[key] = queue.isEmpty ? nil : queue
      if !queue.isEmpty { state.turns.append(key) }
      return job
    }
    if let next { start(next, on: worker) }
  }
}
