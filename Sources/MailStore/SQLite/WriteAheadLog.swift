import CSQLite

/// What the writer's connection knows of its write-ahead log, and the things that the C interface does not do by itself.
///
/// At every opening the log is emptied, or else read to its last commit, so that from the first commit on it is known where a failed one
/// begins.
///
/// Confined to the writer's worker: the hook runs inside its commits.
final class WriteAheadLog {
  /// Frames in the log after the last commit.
  private(set) var frames: Int32 = 0
  /// The log's generation at the last commit (its two salts); nil: there is no commit in it.
  private var salts: [UInt8]?
  private let database: Database

  private static let headerSize: Int64 = 32
  private static let frameSize: Int64 = 4_096 + 24

  /// Takes over the log that an earlier opening left. The connection must have read something, and no other may be in use.
  ///
  /// - Parameter isReadOnly: it is left as it is, and nothing will be committed.
  init(_ database: Database, isReadOnly: Bool = false) throws {
    self.database = database
    if isReadOnly { return }
    if try !empty() { readLastCommit() }
    let context = Unmanaged.passUnretained(self).toOpaque()
    sqlite3_wal_hook(
      database.handle,
      { context, _, _, frames in
        if let context { Unmanaged<WriteAheadLog>.fromOpaque(context).takeUnretainedValue().committed(frames) }
        return SQLITE_OK
      }, context)
  }

  deinit { if let handle = database.handle { sqlite3_wal_hook(handle, nil, nil) } }

  /// Copies the log into the database, syncs that, and cuts the log to nothing; false if there is no room for it or a stranger reads.
  ///
  /// What an earlier process wrote and could not sync may stand in the page cache only: this makes it durable, or makes opening fail.
  private func empty() throws -> Bool {
    var left: Int32 = 0
    let code = sqlite3_wal_checkpoint_v2(database.handle, nil, SQLITE_CHECKPOINT_TRUNCATE, &left, nil)
    let error = SQLiteError(code: code, handle: database.handle)
    if code == SQLITE_OK { return left <= 0 }
    if error.isFull || code & 0xFF == SQLITE_BUSY { return false }
    throw error
  }

  /// Finds the last commit as SQLite's recovery does.
  private func readLastCommit() {
    let end = LogScan.lastCommit { [self] offset, count in read(at: offset, count: count) }
    frames = Int32(clamping: end?.frames ?? 0)
    salts = end?.salts
  }

  private func committed(_ count: Int32) {
    // A log that did not grow has begun anew.
    if salts == nil || count <= frames { salts = readSalts() }
    frames = count
  }

  /// Cuts off what a failed commit wrote, so that recovery can't find it: the kernel may have dropped its pages, so that they would
  /// stand before later commits as a hole (a failed sync is final). False if that failed too.
  func cutToLastCommit() -> Bool {
    guard let file = Self.logFile(of: database), let methods = file.pointee.pMethods?.pointee else { return true }
    // Another generation than that of the last commit began with the one that failed.
    let isSame = salts.map { readSalts() == $0 } ?? false
    let size = isSame ? Self.headerSize + Int64(frames) * Self.frameSize : 0
    guard let truncate = methods.xTruncate, let sync = methods.xSync else { return false }
    return truncate(file, size) == SQLITE_OK && sync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK
  }

  private func readSalts() -> [UInt8]? { read(at: 16, count: 8) }

  /// Nil beyond the end.
  private func read(at offset: Int64, count: Int) -> [UInt8]? {
    guard let file = Self.logFile(of: database), let read = file.pointee.pMethods?.pointee.xRead else { return nil }
    var bytes = [UInt8](repeating: 0, count: count)
    let code = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, Int32(clamping: $0.count), offset) }
    return code == SQLITE_OK ? bytes : nil
  }

  private static func logFile(of database: Database) -> UnsafeMutablePointer<sqlite3_file>? {
    pointer(SQLITE_FCNTL_JOURNAL_POINTER, of: database)
  }

  /// Makes what checkpoints wrote into the database file durable. (A passive checkpoint beside a busy writer does not.)
  static func syncDatabase(_ database: Database) throws {
    guard let file = pointer(SQLITE_FCNTL_FILE_POINTER, of: database), let sync = file.pointee.pMethods?.pointee.xSync else {
      throw SQLiteError(code: SQLITE_ERROR, message: "the database has no file")
    }
    let code = sync(file, SQLITE_SYNC_NORMAL)
    guard code == SQLITE_OK else { throw SQLiteError(code: code, message: "sync of the database") }
  }

  private static func pointer(_ what: Int32, of database: Database) -> UnsafeMutablePointer<sqlite3_file>? {
    var file: UnsafeMutablePointer<sqlite3_file>?
    return sqlite3_file_control(database.handle, "main", what, &file) == SQLITE_OK ? file : nil
  }
}
