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
  private(set) var compaction: Compaction
  private(set) var maintenance: Maintenance
  /// Nil if the trace has none.
  private(set) var lookups: TraceLookups?
  private let lookupPosition = LookupPosition()
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
    let isReadOnly = options.isReadOnly
    lock = Mutex(isReadOnly ? nil : try options.lock.map { path throws(StoreError) in try StoreLock(path: path) })
    var opener = StoreOpener(options, surroundings, lookupPosition)
    let opened = try opener.open()
    ids = opened.ids
    let segments = BodySegments(disk: surroundings.disk, workers: surroundings.workers, limits: options.segments)
    bodies = segments
    if !isReadOnly {
      try segments.start(opened.uses)
      // The names of what was made just now: without them the first transactions stand nowhere.
      do { try surroundings.disk.syncFolder("") } catch { throw StoreError.unavailable("\(error)") }
    }
    let openReader: @Sendable () throws -> Database = {
      try Database(path: options.database, vfs: options.vfs, isReadOnly: true, cacheBytes: options.limits.cache / 4)
    }
    readers = ReaderPool(
      (0..<max(options.limits.readers, 1)).map { number in
        Reader(worker: surroundings.workers.makeSerialWorker(named: "reader \(number + 1)"), open: openReader)
      })
    let events = StoreEvents()
    health = Health(
      damage: opened.damage, isReadOnly: opened.isReadOnly || isReadOnly, tell: options.tell, onFailure: { events.failed() },
      onShortage: { events.ranShort() })
    group = GroupCommit(worker: worker, clock: surroundings.clock, limits: options.limits) { events.run($0, $1) }
    checkpointer = Checkpointer(
      worker: surroundings.workers.makeSerialWorker(named: "checkpoint"), limits: options.limits, group: group, health: health
    ) {
      try Database(path: options.database, vfs: options.vfs, isReadOnly: false, cacheBytes: 1_048_576)
    }
    compaction = Compaction(
      worker: checkpointer, group: group, readers: readers, bodies: segments, totals: opened.writer.totals, health: health,
      clock: surroundings.clock, disk: surroundings.disk)
    maintenance = Maintenance(
      group: group, worker: checkpointer, health: health, compaction: compaction, totals: opened.writer.totals,
      ballast: Ballast(disk: surroundings.disk, size: options.limits.ballast))
    committer = Committer(writer: opened.writer, bodies: segments, limits: options.limits, health: health) { events.committed() }
    lookups = (isReadOnly ? nil : options.lookups).map { path in
      TraceLookups(
        path: path, options, surroundings, position: lookupPosition, openTrace: openReader, writer: worker, group, health)
    }
    events.start(self)
    guard !isReadOnly else { return }
    maintenance.begin()
    lookups?.begin()
  }

  // MARK: After a failure

  private enum Recovery { case whole, failed, damaged }

  /// Closes every connection, opens the database anew and checks it; tries again each second until it is whole, a damaged one each
  /// minute (looking through it costs). Meanwhile everything that can be is read.
  func recover() {
    let isPaused = group.pause { [self] in
      closeReaders {
        self.checkpointer.closeConnection {
          self.writerWorker.submit {
            let result = self.reopen()
            self.group.resume()
            switch result {
            case .whole: break
            case .failed: self.writerWorker.submit(after: .seconds(1)) { self.recover() }
            case .damaged: self.writerWorker.submit(after: .seconds(60)) { self.recover() }
            }
          }
        }
      }
    }
    // A checkpoint has the pause: after it.
    if !isPaused { writerWorker.submit(after: .milliseconds(10)) { self.recover() } }
  }

  /// Closes every connection that only reads, until the next reading, then calls `done`.
  private func closeReaders(_ done: @escaping @Sendable () -> Void) {
    readers.closeConnections { [lookups] in
      if let lookups { lookups.closeTrace(done) } else { done() }
    }
  }

  private func reopen() -> Recovery {
    do {
      guard committer.withWriter({ $0.database.handle == nil || $0.log.cutToLastCommit() }) else { return .failed }
      let (leases, totals) = committer.withWriter { writer in
        writer.database.close()
        return (writer.leases, writer.totals)
      }
      let database = try StoreOpener.openDatabase(options)
      guard try isWhole(database) else {
        health.found(damage: "a table of the database is damaged: restore a backup, or export what can be read")
        return .damaged
      }
      let writer = try Writer(
        database: database, limits: limits, clock: clock, ids: ids, totals: totals, lookupPosition: lookupPosition)
      writer.leases = leases
      committer.replace(writer)
      health.recovered()
      return .whole
    } catch {
      return (error as? SQLiteError)?.isCorrupt == true ? .damaged : .failed
    }
  }

  /// Whether SQLite finds the database whole, its indices made anew if need be.
  private func isWhole(_ database: Database) throws -> Bool {
    func check() throws -> Bool { try database.first("PRAGMA quick_check(1)", []) { $0.text(0) } == "ok" }
    if try check() { return true }
    return try StoreOpener.reindex(database) && check()
  }

  // MARK: The end

  /// Commits what waits and closes everything.
  func close() async {
    group.refuseNew()
    await Waiting.end { done in
      group.drain { [self] in
        readers.refuseNew()
        lookups?.refuseNew()
        closeReaders {
          self.lookups?.close()
          self.checkpointer.closeConnection(isEnd: true) {
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
    parts.committer.withWriter { writer in
      parts.health.log(pages: Int(writer.log.frames))
      parts.checkpointer.committed(frames: writer.log.frames)
    }
    parts.maintenance.committed()
    parts.lookups?.committed()
  }

  func failed() { parts?.recover() }

  func ranShort() { parts?.maintenance.ranShort() }
}
