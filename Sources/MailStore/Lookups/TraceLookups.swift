import Bytes
import MailModel
import Outside
import Synchronization

/// Finds messages in the trace by address and Message-ID: what is derived from it, in a file of its own, behind delivery.
///
/// What it promises
/// - No message waits for it, and none costs a sync more: after commits (`lookupWait`) a worker of its own reads what the trace has got,
///   up to `lookupBatch` rows at a time, and writes their names with how far it has read in one transaction.
/// - Nothing is left out: after a start it goes on where it stood, and what was committed out of order has a mark (`LookupPosition`).
/// - What is not in it yet is found by reading the end of the trace itself (`TraceSearch`).
///
/// How it fails: a file that can't be used is removed and built anew from the trace, at once and then once a minute at most; with a long
/// trace its own readers are told so meanwhile (`unavailable`), nobody else. On a full disk it waits.
///
/// Retention: what leads to nothing any more goes with its part of the file (`LookupFile`).
///
/// `@unchecked Sendable`: what is not behind `shared` or atomic is used only by jobs of its worker, which run one at a time, once `init`,
/// which is before all others, is over: `file`, `seen`, `isWorking`, `lastStart`, `orders` and `trace` are read and written by `tick`,
/// `catchUp` and what these call, and every other method reaches them in `worker.submit` (`Waiting.result` around it). All other stored
/// properties are `let` and `Sendable`.
final class TraceLookups: @unchecked Sendable {
  private struct Shared {
    var isScheduled = false
    var isClosed = false
    /// Why the file can't be written just now.
    var problem: String?
    /// When the trace began and ended as it was last looked at: what share of it has been read.
    var first: Int64 = 0
    var newest: Int64 = 0
  }

  /// Somebody who ordered the file built anew, and waits for it.
  private struct Order {
    var target: Int64
    var report: @Sendable (VerifyProgress) -> Void
    var done: @Sendable (Result<Int64, StoreError>) -> Void
  }

  /// Between two attempts to build a file anew that can't be used, and two on a full disk: 60 s.
  private static let patience = Duration.seconds(60)
  /// Messages of the oldest part that may be left in the trace (still queued) when it is dropped, one in 50 entries and at most 1,000: they
  /// move to the newest.
  private static let leftOver: Int64 = 1_000

  private let path: String
  private let vfs: String?
  private let disk: any Disk
  private let clock: any Clock
  private let limits: StoreLimits
  private let position: LookupPosition
  private let worker: any SerialWorker
  private let writer: any SerialWorker
  private let group: GroupCommit
  private let health: Health
  private let trace: Reader
  private let shared = Mutex(Shared())
  private let readTo = Atomic<Int64>(.min)

  private var file: LookupFile?
  /// The newest id of the trace at the last look: what is older has been committed, nearly always.
  private var seen = Int64.min
  /// Reading goes on, or a file is being made.
  private var isWorking = false
  private var lastStart: MonotonicInstant?
  private var orders: [Order] = []

  /// Opens the file, on the writer's worker, before the first write: so the writer knows what has been read.
  init(
    path: String, _ options: SQLiteStore.Options, _ surroundings: SQLiteStore.Surroundings, position: LookupPosition,
    openTrace: @escaping @Sendable () throws -> Database, writer: any SerialWorker, _ group: GroupCommit, _ health: Health
  ) {
    self.path = path
    vfs = options.vfs
    disk = surroundings.disk
    clock = surroundings.clock
    limits = options.limits
    self.position = position
    self.writer = writer
    self.group = group
    self.health = health
    worker = surroundings.workers.makeSerialWorker(named: "trace")
    trace = Reader(worker: worker, open: openTrace)
    do { file = try openFile() } catch { shared.withLock { $0.problem = "\(error)" } }
    setRead(file?.read ?? .min)
    position.claim(file?.read ?? .min)
  }

  private func openFile() throws -> LookupFile {
    try LookupFile(path: path, vfs: vfs, cacheBytes: limits.cache / 2, partSize: limits.lookupPart)
  }

  private func setRead(_ id: Int64) { readTo.store(id, ordering: .sequentiallyConsistent) }

  /// Up to here the trace need not be read for a look-up.
  var read: Int64 { readTo.load(ordering: .sequentiallyConsistent) }

  /// What to tell who asks for more than can be answered now.
  var unavailability: StoreError {
    let shared = shared.withLock { $0 }
    let span = max(shared.newest.subtractedClamped(shared.first), 1)
    let share = read < shared.first ? 0 : min(Double(read.subtractedClamped(shared.first)) / Double(span), 1)
    let why = shared.problem.map { ": \($0)" } ?? ""
    return .unavailable(
      "the trace's look-ups are being built (\(Int(share * 100)) % done)\(why); ask by queue id, or again in a while")
  }

  // MARK: When

  /// At open: goes on where it stood.
  func begin() {
    worker.submit {
      if self.file == nil { return self.startOver(self.shared.withLock { $0.problem } ?? "") }
      self.seen = self.newest() ?? .min
      // A store that was put back in time: what the file leads to is gone, and what comes now has ids that it takes for read.
      if self.read > self.seen, self.read > .min, self.seen > .min { return self.startOver("the store is older than they are") }
      self.tick()
    }
  }

  /// After each commit, on the writer.
  func committed() { schedule(after: .milliseconds(limits.lookupWait)) }

  private func schedule(after delay: Duration) {
    let isFirst = shared.withLock { shared in
      defer { shared.isScheduled = true }
      return !shared.isScheduled && !shared.isClosed
    }
    if isFirst { worker.submit(after: delay) { self.tick() } }
  }

  private var isClosed: Bool { shared.withLock { $0.isClosed } }

  private func tick() {
    shared.withLock { $0.isScheduled = false }
    // After a failed write nothing may hold the database open; the first commit after it comes here again.
    guard !isClosed, !isWorking, health.mayWrite else {
      if !isWorking { failOrders(isClosed ? .closed : .unavailable("the store is being checked after a failed write")) }
      return
    }
    guard file != nil else { return startOver(shared.withLock { $0.problem } ?? "") }
    guard let newest = newest() else { return schedule(after: .seconds(1)) }
    let target = seen
    seen = newest
    isWorking = true
    if target > read { claim(target) } else { settle() }
  }

  private func newest() -> Int64? {
    let ends = trace.run { database in
      try database.first("SELECT (SELECT min(id) FROM trace), (SELECT max(id) FROM trace)", []) { row in
        (row.optionalInt(0) ?? .min, row.optionalInt(1) ?? .min)
      }
    }
    guard case .success(let found?) = ends else { return nil }
    shared.withLock { ($0.first, $0.newest) = found }
    return found.1
  }

  // MARK: Reading on

  /// Takes everything up to `target` upon itself; the rows are read once no transaction is open that did not know of it.
  private func claim(_ target: Int64) {
    position.claim(target)
    writer.submit { self.worker.submit { self.catchUp(to: target) } }
  }

  private func catchUp(to target: Int64) {
    guard !isClosed, health.mayWrite, let file else { return pauseWork(for: .seconds(1)) }
    let start = clock.monotonic()
    let from = file.read
    guard
      case .success(let page) = trace.run({ [limits] in try LookupPage(after: from, to: target, limit: limits.lookupBatch, in: $0) }
      )
    else { return pauseWork(for: .seconds(1)) }
    do { try file.add(page.entries, readTo: page.end) } catch { return failed(error) }
    setRead(page.end)
    tellProgress()
    guard page.end < target else { return settle() }
    // As long as it worked it rests, so that mail goes first; not while a person waits.
    let pause = orders.isEmpty ? clock.monotonic().since(start) : .zero
    worker.submit(after: pause) { self.catchUp(to: target) }
  }

  /// What came late, what can go, and what is next.
  private func settle() {
    do {
      try readLate()
      try dropOldest()
    } catch { return failed(error) }
    isWorking = false
    shared.withLock { $0.problem = nil }
    finishOrders()
    if let order = orders.first {
      seen = order.target
      schedule(after: .zero)
    } else if seen > read {
      schedule(after: .milliseconds(limits.lookupWait))
    }
  }

  private func readLate() throws {
    guard let file,
      case .success(let late) = trace.run({ database in
        try LateRows.all(in: database).map { ($0.mark, $0.id, try TraceReading.names(of: $0.id, in: database)) }
      }), !late.isEmpty
    else { return }
    let entries = late.flatMap { _, id, names in names.map { LookupFile.Entry(hash: $0.hash, id: id) } }
    try file.add(entries, readTo: file.read, isDurable: true)
    let marks = late.map(\.0)
    group.later { writer in try writer.forgetLate(marks) }
  }

  private func dropOldest() throws {
    guard let file, file.parts.count > 1, let oldest = file.parts.first else { return }
    let most = min(oldest.entries / 50, Self.leftOver)
    let left = trace.run { database in
      let ids = try database.all(
        "SELECT DISTINCT id FROM trace WHERE id <= ? ORDER BY id LIMIT ?", [.int(oldest.last), .int(most + 1)]
      ) { $0.int(0) }
      guard ids.count <= Int(most) else { return nil as [LookupFile.Entry]? }
      return try ids.flatMap { id in try TraceReading.names(of: id, in: database).map { LookupFile.Entry(hash: $0.hash, id: id) } }
    }
    if case .success(let kept?) = left { try file.dropOldest(keeping: kept) }
  }

  private func pauseWork(for pause: Duration) {
    isWorking = false
    if isClosed { failOrders(.closed) } else { schedule(after: pause) }
  }

  // MARK: Failures

  private func failed(_ error: any Error) {
    guard let error = error as? SQLiteError, error.isFull else { return startOver("\(error)") }
    shared.withLock { $0.problem = "the disk is full" }
    failOrders(.full)
    pauseWork(for: Self.patience)
  }

  /// Removes the file and begins one from the trace.
  private func startOver(_ reason: String, isOrdered: Bool = false) {
    let now = clock.monotonic()
    shared.withLock { $0.problem = reason.isEmpty ? nil : reason }
    setRead(.min)
    isWorking = true
    file?.close()
    file = nil
    if let lastStart, !isOrdered, now.since(lastStart) < Self.patience { return pauseWork(for: Self.patience) }
    lastStart = now
    if !isOrdered { health.pass(on: .lookupsBuiltAnew(reason)) }
    let name = String(path.split(separator: "/").last ?? "")
    for suffix in ["", "-wal", "-shm"] { try? disk.remove(name + suffix) }
    do { file = try openFile() } catch {
      shared.withLock { $0.problem = "\(error)" }
      failOrders(.unavailable("the look-ups can't be made: \(error)"))
      return pauseWork(for: Self.patience)
    }
    guard let newest = newest() else { return pauseWork(for: .seconds(1)) }
    seen = newest
    claim(newest)
  }

  // MARK: Orders

  /// Builds the file anew; `done` hears how many entries it has.
  func rebuild(
    report: @escaping @Sendable (VerifyProgress) -> Void, done: @escaping @Sendable (Result<Int64, StoreError>) -> Void
  ) {
    worker.submit {
      guard !self.isClosed else { return done(.failure(.closed)) }
      guard let newest = self.newest() else { return done(.failure(.unavailable("the trace can't be read"))) }
      self.orders.append(Order(target: newest, report: report, done: done))
      self.startOver("", isOrdered: true)
    }
  }

  /// Reads everything that the trace has now, without waiting for its time.
  func bringUpToDate() async throws(StoreError) -> Int64 {
    try await Waiting.result { done in
      worker.submit {
        guard !self.isClosed else { return done(.failure(.closed)) }
        guard let newest = self.newest() else { return done(.failure(.unavailable("the trace can't be read"))) }
        self.orders.append(Order(target: newest, report: { _ in }, done: done))
        guard !self.isWorking else { return }
        self.seen = newest
        self.tick()
      }
    }
  }

  private func tellProgress() {
    guard !orders.isEmpty else { return }
    let (first, newest) = shared.withLock { ($0.first, $0.newest) }
    func seconds(_ id: Int64) -> Int64 { QueueID(rawValue: UInt64(clamping: id)).time.seconds }
    let progress = VerifyProgress(
      done: max(seconds(min(read, newest)).subtractedClamped(seconds(first)), 0),
      total: max(seconds(newest).subtractedClamped(seconds(first)), 1),
      what: "seconds of trace")
    for order in orders { order.report(progress) }
  }

  private func finishOrders() {
    let over = orders.filter { $0.target <= read }
    guard !over.isEmpty, let file else { return }
    orders.removeAll { $0.target <= read }
    let entries = Result { try file.count() }.mapError { StoreError.unavailable("\($0)") }
    for order in over { order.done(entries) }
  }

  private func failOrders(_ error: StoreError) {
    let failed = orders
    orders = []
    for order in failed { order.done(.failure(error)) }
  }

  // MARK: Look-ups

  /// Ids that `name` leads to, perhaps: the newest first, from `lowest` on and below `before`.
  func ids(of name: LookupName, from lowest: Int64, before: Int64, limit: Int) async throws(StoreError) -> [Int64] {
    try await Waiting.result { done in
      worker.submit {
        guard let file = self.file else { return done(.failure(self.unavailability)) }
        do {
          done(.success(try file.ids(of: name.hash, from: lowest, before: before, limit: limit)))
        } catch {
          self.startOver("\(error)")
          done(.failure(self.unavailability))
        }
      }
    }
  }

  /// Runs `body` with the file, for tests and `verify`.
  func withFile<T: Sendable>(_ body: @escaping @Sendable (LookupFile) throws -> T) async throws(StoreError) -> T {
    try await Waiting.result { done in
      worker.submit {
        guard let file = self.file else { return done(.failure(self.unavailability)) }
        done(Result { try body(file) }.mapError { StoreError.unavailable("\($0)") })
      }
    }
  }

  // MARK: The end

  /// Closes the connection to the store's database until the next reading.
  func closeTrace(_ done: @escaping @Sendable () -> Void) {
    worker.submit {
      self.trace.close()
      done()
    }
  }

  func refuseNew() { shared.withLock { $0.isClosed = true } }

  func close() {
    worker.submit {
      self.failOrders(.closed)
      self.trace.close()
      self.file?.close()
      self.file = nil
    }
  }
}
