import MailModel
import MailStore
import MartletSimulation
import Outside
import Synchronization
import Testing

@Suite("An idle store")
struct IdleStoreTests {
  @Test("an idle store leaves the disk alone, however often its queue is looked at")
  func idle() throws {
    let world = SimulatedStore(seed: 1, recording: false)
    let store = try world.executor.run {
      let store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      return store
    }
    let looks = 2_000
    let requests = try world.executor.run { () async throws -> [Int] in
      var requests: [Int] = []
      for _ in 0..<looks {
        let now = world.executor.clock.now()
        _ = try await store.claimDue(now: now, limit: 10, leaseEnd: now.advanced(by: .seconds(60)))
        await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(60)))
        requests.append(world.disk.requests)
      }
      return requests
    }
    // What the last change left to be done is done within minutes.
    #expect(requests.last == requests[10], "\(requests[10]) and then \(requests.last ?? 0)")
    try world.executor.run { await store.close() }
  }

  @Test("a store that can't be written tries less and less often, and what waited is written when it can be again")
  func patience() throws {
    let world = SimulatedStore(seed: 1, recording: false)
    let workers = CountedWorkers(world.executor)
    let id = QueueID(rawValue: 1)
    try world.executor.run {
      let store = try await world.open(workers: workers)
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      world.disk.setFaults { _ in .fail(.failed) }
      store.note(id, [TraceEvent(time: world.executor.clock.now(), kind: .refused)])
      let before = workers.count
      await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(3_600)))
      // Opening it anew is tried each second; the note each 40 ms would be 90,000 more.
      #expect(workers.count - before < 36_000, "\(workers.count - before)")
      world.disk.setFaults(nil)
      await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(300)))
      let events = try await store.trace(of: id)
      #expect(events.count == 1)
      await store.close()
    }
  }
}

/// Counts the jobs that workers are given.
private final class CountedWorkers: WorkerProvider {
  private let provider: any WorkerProvider
  private let jobs = Mutex(0)
  var count: Int { jobs.withLock { $0 } }

  init(_ provider: any WorkerProvider) { self.provider = provider }

  func makeSerialWorker(named name: String) -> any SerialWorker {
    CountedWorker(worker: provider.makeSerialWorker(named: name)) { [weak self] in self?.jobs.withLock { $0 += 1 } }
  }
}

private struct CountedWorker: SerialWorker {
  let worker: any SerialWorker
  let count: @Sendable () -> Void

  func submit(_ job: @escaping @Sendable () -> Void) {
    count()
    worker.submit(job)
  }

  func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
    count()
    worker.submit(after: delay, job)
  }
}
