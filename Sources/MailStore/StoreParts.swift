import CSQLite
import MailModel
import NIOCore
import Outside
import Synchronization

/// The parts of an open store, and how they are put together, opened anew after a failure, and closed.
///
/// `@unchecked Sendable`: the `var`s are set while the store is opened, before any other job can see it; what follows is confined to
/// the writer's worker.
final class StoreParts: @unchecked Sendable {
  let options: SQLiteStore.Options
  let surroundings: SQLiteStore.Surroundings
  let limits: StoreLimits
  let clock: any Clock
  /// The same for as long as the store is open, whatever is opened anew.
  let ids: QueueIDs
  let writerWorker: any SerialWorker
  let bodies: any BodyStorage
  let readers: ReaderPool
  private(set) var health: Health
  private(set) var group: GroupCommit
  private(set) var committer: Committer
  private(set) var checkpointer: Checkpointer
  private(set) var maintenance: Maintenance
  private let lock: Mutex<StoreLock?>

  /// Opens everything, on the writer's worker.
  static func open(
    _ options: SQLiteStore.Options, _ surroundings: SQLiteStore.Surroundings
  ) async throws(StoreError) -> StoreParts {
    let worker = surroundings.workers.makeSerialWorker(named: "writer")
    return try await Waiting.result { done in
      worker.submit {
        do {
          done(.success(try StoreParts(options, surroundings, worker)))
        } catch let error as StoreError {
          done(.failure(error))
        } catch let error as SQLiteError {
          done(.failure(error.storeError))
        } catch {
          done(.failure(.unavailable("\(error)")))
        }
      }
    }
  }

  private init(_ options: SQLiteStore.Options, _ surroundings: SQLiteStore.Surroundings, _ worker: any SerialWorker) throws {
    self.options = options
    self.surroundings = surroundings
    limits = options.limits
    clock = surroundings.clock
    writerWorker = worker
    lock = Mutex(try options.lock.map { path throws(StoreError) in try StoreLock(path: path) })
    let database = try Self.openDatabase(options)
    ids = QueueIDs(after: try Self.highestID(in: database), clock: surroundings.clock, random: surroundings.random)
    let writer = try Writer(database: database, limits: options.limits, clock: surroundings.clock, ids: ids)
    try writer.resetLeases()
    let segments = BodySegments(disk: surroundings.disk, workers: surroundings.workers, limits: options.segments)
    try segments.start(try Self.segmentUses(in: writer.database))
    bodies = segments
    // The names of what was made just now: without them the first transactions stand nowhere.
    do {
      try surroundings.disk.syncFolder("")
    } catch {
      throw StoreError.unavailable("\(error)")
    }
    let openReader: @Sendable () throws -> Database = {
      try Database(path: options.database, vfs: options.vfs, isReadOnly: true, cacheBytes: options.limits.cache / 4)
    }
    readers = ReaderPool(
      (0..<max(options.limits.readers, 1)).map { number in
        Reader(worker: surroundings.workers.makeSerialWorker(named: "reader \(number + 1)"), open: openReader)
      })
    let events = StoreEvents()
    health = Health(onFailure: { events.failed() }, onShortage: { events.ranShort() })
    group = GroupCommit(worker: worker, clock: surroundings.clock, limits: options.limits) { events.run($0, $1) }
    checkpointer = Checkpointer(
      worker: surroundings.workers.makeSerialWorker(named: "checkpoint"), limits: options.limits, group: group, health: health
    ) {
      try Database(path: options.database, vfs: options.vfs, isReadOnly: false, cacheBytes: 1_048_576)
    }
    maintenance = Maintenance(
      group: group, worker: checkpointer, health: health, ballast: Ballast(disk: surroundings.disk, size: options.limits.ballast))
    committer = Committer(writer: writer, bodies: segments, limits: options.limits, health: health) { events.committed() }
    events.start(self)
    maintenance.begin()
  }

  private static func openDatabase(_ options: SQLiteStore.Options) throws -> Database {
    let database = try Database(path: options.database, vfs: options.vfs, isReadOnly: false, cacheBytes: options.limits.cache)
    try Schema.prepare(database)
    return database
  }

  /// The highest id that a message or a trace has.
  private static func highestID(in database: Database) throws -> QueueID {
    let ids = try database.first(
      "SELECT max((SELECT ifnull(max(id), 0) FROM messages), (SELECT ifnull(max(id), 0) FROM trace))", []
    ) {
      $0.int(0)
    }
    return QueueID(rawValue: UInt64(clamping: ids ?? 0))
  }

  /// What the database points to in each segment.
  static func segmentUses(in database: Database) throws -> [SegmentUse] {
    var uses: [SegmentUse] = []
    try database.each("SELECT segment, extents FROM messages WHERE segment IS NOT NULL ORDER BY segment", []) { row in
      let segment = UInt32(clamping: row.int(0))
      let location = SegmentLocation(segment: segment, encodedExtents: row.blob(1))
      if uses.last?.segment != segment { uses.append(SegmentUse(segment: segment, octets: 0, end: 0)) }
      uses[uses.count - 1].octets += UInt64(clamping: location?.footprint ?? 0)
      uses[uses.count - 1].end = max(uses[uses.count - 1].end, location?.end ?? 0)
      return true
    }
    return uses
  }

  // MARK: After a failure

  /// Closes every connection, opens the database anew and checks it; tries again each second until it is whole.
  func recover() {
    let isPaused = group.pause { [self] in
      readers.closeConnections {
        self.checkpointer.closeConnection {
          self.writerWorker.submit {
            let isWhole = self.reopen()
            self.group.resume()
            if !isWhole { self.writerWorker.submit(after: .seconds(1)) { self.recover() } }
          }
        }
      }
    }
    // A checkpoint has the pause: after it.
    if !isPaused { writerWorker.submit(after: .milliseconds(10)) { self.recover() } }
  }

  private func reopen() -> Bool {
    do {
      guard committer.withWriter({ $0.database.handle == nil || $0.log.cutToLastCommit() }) else { return false }
      let leases = committer.withWriter { writer in
        writer.database.close()
        return writer.leases
      }
      let writer = try Writer(database: try Self.openDatabase(options), limits: limits, clock: clock, ids: ids)
      let report = try writer.database.first("PRAGMA quick_check(1)", []) { $0.text(0) } ?? ""
      guard report == "ok" else { throw SQLiteError(code: SQLITE_CORRUPT, message: report) }
      writer.leases = leases
      committer.replace(writer)
      health.recovered()
      return true
    } catch {
      return false
    }
  }

  // MARK: The end

  /// Commits what waits and closes everything.
  func close() async {
    group.refuseNew()
    await Waiting.end { done in
      group.drain { [self] in
        readers.refuseNew()
        readers.closeConnections {
          self.checkpointer.closeConnection {
            self.writerWorker.submit {
              self.committer.withWriter { $0.database.close() }
              self.bodies.close()
              self.lock.withLock { $0 = nil }
              done()
            }
          }
        }
      }
    }
  }
}

/// What the parts tell each other, so that they need not know each other.
///
/// `@unchecked Sendable`: `parts` is set once, at the end of opening, before any call can come in.
final class StoreEvents: @unchecked Sendable {
  private weak var parts: StoreParts?

  func start(_ parts: StoreParts) { self.parts = parts }

  func run(_ members: [Member], _ lazy: [Member]) -> [Member] { parts?.committer.run(members, lazy) ?? [] }

  func committed() {
    guard let parts else { return }
    parts.committer.withWriter { parts.checkpointer.committed(frames: $0.log.frames) }
    parts.maintenance.schedule(after: .seconds(Maintenance.interval))
  }

  func failed() { parts?.recover() }

  func ranShort() { parts?.maintenance.ranShort() }
}
