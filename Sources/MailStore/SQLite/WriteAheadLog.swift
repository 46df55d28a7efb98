import CSQLite

/// What the writer's connection knows of its write-ahead log, and the two things that the C interface does not do by itself.
///
/// Confined to the writer's worker: the hook runs inside its commits.
final class WriteAheadLog {
  /// Frames in the log after the last commit.
  private(set) var frames: Int32 = 0
  /// The log's generation at the last commit (its two salts); nil before the first.
  private var salts: [UInt8]?
  private let database: Database

  private static let headerSize: Int64 = 32
  private static let frameSize: Int64 = 4_096 + 24

  init(_ database: Database) {
    self.database = database
    let context = Unmanaged.passUnretained(self).toOpaque()
    sqlite3_wal_hook(
      database.handle,
      { context, _, _, frames in
        if let context { Unmanaged<WriteAheadLog>.fromOpaque(context).takeUnretainedValue().committed(frames) }
        return SQLITE_OK
      }, context)
  }

  deinit { if let handle = database.handle { sqlite3_wal_hook(handle, nil, nil) } }

  private func committed(_ count: Int32) {
    // A log that did not grow has begun anew.
    if salts == nil || count <= frames { salts = readSalts() }
    frames = count
  }

  /// Cuts off what a failed commit wrote, so that recovery can't find it: the kernel may have dropped its pages, so that they would
  /// stand before later commits as a hole (a failed sync is final). False if that failed too.
  func cutToLastCommit() -> Bool {
    guard let file = Self.logFile(of: database), let methods = file.pointee.pMethods?.pointee, let known = salts else {
      return true
    }
    let size = readSalts() == known ? Self.headerSize + Int64(frames) * Self.frameSize : 0
    guard let truncate = methods.xTruncate, let sync = methods.xSync else { return false }
    return truncate(file, size) == SQLITE_OK && sync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK
  }

  private func readSalts() -> [UInt8]? {
    guard let file = Self.logFile(of: database), let read = file.pointee.pMethods?.pointee.xRead else { return nil }
    var bytes = [UInt8](repeating: 0, count: 8)
    let code = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, 8, 16) }
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
