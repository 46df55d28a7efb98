import CSQLite
import Outside

/// Copies the write-ahead log into the database behind the writer's back, and keeps the log bounded.
///
/// Every `checkpointPages` pages a passive checkpoint with a sync of its own (so that the next one finds little to sync); from `restartPages`
/// on the log begins anew, while commits pause. Readers are never waited for longer than 10 ms: then it is tried again later.
///
/// `@unchecked Sendable`: `database` is used only by jobs of its worker; `committed` and what it counts only by jobs of the writer's.
final class Checkpointer: @unchecked Sendable {
  private let worker: any SerialWorker
  private let limits: StoreLimits
  private let open: @Sendable () throws -> Database
  private let group: GroupCommit
  private let health: Health
  private var database: Database?
  /// Frames at the last request.
  private var requested: Int32 = 0
  /// No connection is opened any more.
  private var isClosed = false

  init(
    worker: any SerialWorker, limits: StoreLimits, group: GroupCommit, health: Health,
    open: @escaping @Sendable () throws -> Database
  ) {
    self.worker = worker
    self.limits = limits
    self.group = group
    self.health = health
    self.open = open
  }

  /// After each commit, on the writer.
  func committed(frames: Int32) {
    if frames < requested { requested = 0 }
    guard frames - requested >= Int32(clamping: limits.checkpointPages) else { return }
    requested = frames
    worker.submit { self.checkpoint() }
  }

  private func checkpoint() {
    guard health.mayWrite, let size = run(SQLITE_CHECKPOINT_PASSIVE), size >= limits.restartPages else { return }
    _ = group.pause { [worker] in
      worker.submit {
        _ = self.run(SQLITE_CHECKPOINT_RESTART)
        self.group.resume()
      }
    }
  }

  /// Frames in the log; nil if nothing could be done. A failure of the medium is the store's failure.
  private func run(_ mode: Int32) -> Int? {
    guard !isClosed else { return nil }
    do {
      let database = try self.database ?? open()
      self.database = database
      sqlite3_busy_timeout(database.handle, 10)
      var frames: Int32 = 0
      var copied: Int32 = 0
      let code = sqlite3_wal_checkpoint_v2(database.handle, nil, mode, &frames, &copied)
      if code & 0xFF == SQLITE_BUSY { return Int(frames) }
      guard code == SQLITE_OK else { throw SQLiteError(code: code, handle: database.handle) }
      try WriteAheadLog.syncDatabase(database)
      return Int(frames)
    } catch let error as SQLiteError where error.isFull {
      health.ranOutOfSpace()
      return nil
    } catch {
      health.failed("\(error)")
      return nil
    }
  }

  /// Reads in one snapshot, on the worker. Only while the store may be written: after a failure no connection may be in the way.
  func reading<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
    guard !isClosed, health.mayWrite else { throw .closed }
    do {
      let database = try self.database ?? open()
      self.database = database
      try database.run("BEGIN")
      defer { try? database.run("COMMIT") }
      return try body(database)
    } catch {
      throw (error as? StoreError) ?? (error as? SQLiteError)?.storeError ?? .unavailable("\(error)")
    }
  }

  /// Closes the connection, then calls `done` on the worker. For good, if it is the end.
  func closeConnection(isEnd: Bool = false, _ done: @escaping @Sendable () -> Void) {
    worker.submit {
      if isEnd { self.isClosed = true }
      self.database?.close()
      self.database = nil
      done()
    }
  }

  /// Other work that has to do with the disk, not with the writer.
  func submit(_ job: @escaping @Sendable () -> Void) { worker.submit(job) }

  func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) { worker.submit(after: delay, job) }
}
