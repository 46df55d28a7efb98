import MartletSimulation
import Outside
import Synchronization
import Testing

@Suite("The simulated executor")
struct SimulatedExecutorTests {
  /// What twenty tasks and two workers do, in the order a seed chooses.
  private func order(seed: UInt64) throws -> [Int] {
    let executor = SimulatedExecutor(seed: seed)
    let log = Log()
    let workers = [executor.makeSerialWorker(named: "a"), executor.makeSerialWorker(named: "b")]
    return try executor.run {
      await withTaskGroup(of: Void.self) { group in
        for task in 0..<20 {
          group.addTask {
            for step in 0..<3 {
              log.add(task * 100 + step)
              await Task.yield()
              await withCheckedContinuation { continuation in
                workers[task % 2].submit(after: .milliseconds(task % 3)) { continuation.resume() }
              }
            }
          }
        }
      }
      return log.entries
    }
  }

  final class Log: Sendable {
    private let state = Mutex<[Int]>([])
    func add(_ entry: Int) { state.withLock { $0.append(entry) } }
    var entries: [Int] { state.withLock { $0 } }
  }

  @Test("the same seed gives the same order, another seed another one")
  func repeats() throws {
    let first = try order(seed: 1)
    #expect(first.count == 60)
    #expect(try order(seed: 1) == first)
    #expect(try order(seed: 2) != first)
    #expect(try order(seed: 2).sorted() == first.sorted())
  }

  @Test("an hour passes at once, and a wall clock that jumps leaves timers alone")
  func time() throws {
    let executor = SimulatedExecutor(seed: 1)
    let before = executor.clock.monotonic()
    try executor.run {
      executor.clock.jump(by: .seconds(-86_400))
      await executor.sleep(until: before.advanced(by: .seconds(3_600)))
    }
    #expect(executor.clock.monotonic().since(before) == .seconds(3_600))
  }

  @Test("a wait that can never end is told, not hung in")
  func stuck() {
    let executor = SimulatedExecutor(seed: 1)
    #expect(throws: SimulatedExecutor.Stuck.self) {
      try executor.run { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
    }
  }

  @Test("a worker's jobs run in order, one at a time, never inside submit")
  func workerOrder() throws {
    let executor = SimulatedExecutor(seed: 3)
    let worker = executor.makeSerialWorker(named: "w")
    let log = Log()
    for index in 0..<10 {
      worker.submit {
        log.add(index)
        if index == 0 { worker.submit { log.add(99) } }
      }
    }
    #expect(log.entries.isEmpty)
    executor.settle()
    #expect(log.entries == Array(0..<10) + [99])
  }
}
