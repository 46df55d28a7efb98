import MailModel
import NIOCore
import Outside
import Synchronization

/// The connections that only read, each on a worker of its own.
///
/// A job reads a bounded page in one snapshot and gives it back whole: no read transaction outlives a job, so none holds the WAL while a
/// client is slow.
final class ReaderPool: Sendable {
  private let readers: [Reader]
  private let load: Mutex<Load>

  private struct Load {
    var waiting: [Int]
    var isClosed = false
  }

  init(_ readers: [Reader]) {
    self.readers = readers
    load = Mutex(Load(waiting: Array(repeating: 0, count: readers.count)))
  }

  /// Runs `body` in one snapshot on the reader with the least to do.
  func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws(StoreError) -> T {
    let chosen = load.withLock { load -> Int? in
      guard !load.isClosed, let index = load.waiting.indices.min(by: { load.waiting[$0] < load.waiting[$1] }) else { return nil }
      load.waiting[index] += 1
      return index
    }
    guard let chosen, readers.indices.contains(chosen) else { throw .closed }
    let reader = readers[chosen]
    return try await Waiting.result { done in
      reader.worker.submit {
        let result = reader.run(body)
        self.load.withLock { $0.waiting[chosen] -= 1 }
        done(result)
      }
    }
  }

  /// Calls `done` when every job submitted before has ended.
  func whenDrained(_ done: @escaping @Sendable () -> Void) { atEach({ _ in }, done) }

  /// Closes every connection (jobs that are queued come first), then calls `done`. `reopen` makes them usable again.
  func closeConnections(_ done: @escaping @Sendable () -> Void) { atEach({ $0.close() }, done) }

  /// No more reads: they fail with `closed`.
  func refuseNew() { load.withLock { $0.isClosed = true } }

  private func atEach(_ action: @escaping @Sendable (Reader) -> Void, _ done: @escaping @Sendable () -> Void) {
    let left = Countdown(readers.count, done)
    if readers.isEmpty { return done() }
    for reader in readers {
      reader.worker.submit {
        action(reader)
        left.step()
      }
    }
  }
}

/// Calls `done` at the last of so many steps.
final class Countdown: Sendable {
  private let left: Mutex<Int>
  private let done: @Sendable () -> Void

  init(_ count: Int, _ done: @escaping @Sendable () -> Void) {
    left = Mutex(count)
    self.done = done
  }

  func step() {
    let isLast = left.withLock { left in
      left -= 1
      return left == 0
    }
    if isLast { done() }
  }
}

/// One reading connection, opened when first used and again after it was closed.
///
/// `@unchecked Sendable`: everything but `worker` is used only by jobs of that worker, which run one at a time.
final class Reader: @unchecked Sendable {
  let worker: any SerialWorker
  private let open: @Sendable () throws -> Database
  private var database: Database?

  init(worker: any SerialWorker, open: @escaping @Sendable () throws -> Database) {
    self.worker = worker
    self.open = open
  }

  func run<T>(_ body: (Database) throws -> T) -> Result<T, StoreError> {
    do {
      let database = try self.database ?? open()
      self.database = database
      try database.run("BEGIN")
      defer { try? database.run("COMMIT") }
      return .success(try body(database))
    } catch let error as StoreError {
      return .failure(error)
    } catch let error as SQLiteError {
      database?.close()
      database = nil
      return .failure(error.storeError)
    } catch {
      return .failure(.unavailable("\(error)"))
    }
  }

  func close() {
    database?.close()
    database = nil
  }
}
