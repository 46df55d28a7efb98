import CSQLite
import NIOCore

/// One connection to the database, confined to the worker that uses it.
///
/// Statements are prepared once and kept, found by the address of their literal. Every failure is a `SQLiteError`.
final class Database {
  /// Open while the connection is; nil after `close`.
  private(set) var handle: OpaquePointer?
  private var statements: [UnsafePointer<UInt8>: Statement] = [:]

  /// Opens (and makes, unless `isReadOnly`) the database at `path` with the settings of every connection.
  init(path: String, vfs: String?, isReadOnly: Bool, cacheBytes: Int) throws {
    var opened: OpaquePointer?
    let access = isReadOnly ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs)
    guard code == SQLITE_OK, let opened else {
      let error = SQLiteError(code: code, message: opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory")
      sqlite3_close_v2(opened)
      throw error
    }
    handle = opened
    sqlite3_busy_timeout(opened, 5_000)
    // A checkpoint at close would trust a count of copied pages whose sync may have failed.
    martlet_sqlite3_no_checkpoint_on_close(opened)
    var persist: Int32 = 1
    sqlite3_file_control(opened, "main", SQLITE_FCNTL_PERSIST_WAL, &persist)
    try execute("PRAGMA page_size = 4096")
    try execute("PRAGMA journal_mode = WAL")
    try execute("PRAGMA synchronous = FULL")
    try execute("PRAGMA secure_delete = OFF")
    try execute("PRAGMA cache_size = -\(cacheBytes / 1_024)")
    try execute("PRAGMA temp_store = MEMORY")
    try execute("PRAGMA wal_autocheckpoint = 0")
    if isReadOnly { try execute("PRAGMA query_only = ON") }
    try checkSettings()
  }

  /// What a `250` rests on is read back, not believed.
  private func checkSettings() throws {
    let mode = try first("PRAGMA journal_mode", []) { $0.text(0) } ?? ""
    let level = try first("PRAGMA synchronous", []) { $0.int(0) } ?? -1
    guard mode == "wal", level == 2 else {
      throw SQLiteError(code: SQLITE_ERROR, message: "journal_mode \(mode), synchronous \(level): not durable")
    }
  }

  deinit { close() }

  /// Finalizes every statement and closes. Nothing may be used after it.
  func close() {
    statements.removeAll()
    if let handle { sqlite3_close_v2(handle) }
    handle = nil
  }

  /// Runs `sql`, which may be several statements, without keeping them.
  func execute(_ sql: String) throws {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    guard code == SQLITE_OK else { throw error(code) }
  }

  /// Runs a statement that gives no rows.
  func run(_ sql: StaticString, _ values: SQLValue...) throws {
    let statement = try statement(sql)
    defer { statement.reset() }
    try statement.bind(values)
    _ = try statement.step()
  }

  /// Gives each row to `body` until it answers false.
  func each(_ sql: StaticString, _ values: [SQLValue], _ body: (Row) throws -> Bool) throws {
    let statement = try statement(sql)
    defer { statement.reset() }
    try statement.bind(values)
    while try statement.step() {
      guard try body(Row(statement: statement.pointer)) else { return }
    }
  }

  /// Every row as `transform` makes it.
  func all<T>(_ sql: StaticString, _ values: [SQLValue], _ transform: (Row) throws -> T) throws -> [T] {
    var result: [T] = []
    try each(sql, values) {
      result.append(try transform($0))
      return true
    }
    return result
  }

  /// The first row, nil if there is none.
  func first<T>(_ sql: StaticString, _ values: [SQLValue], _ transform: (Row) throws -> T) throws -> T? {
    let statement = try statement(sql)
    defer { statement.reset() }
    try statement.bind(values)
    guard try statement.step() else { return nil }
    return try transform(Row(statement: statement.pointer))
  }

  /// Rows the last statement changed.
  var changes: Int { Int(sqlite3_changes64(handle)) }

  /// Whether a transaction is open.
  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

  /// The prepared statement for a literal; each literal has its own.
  func statement(_ sql: StaticString) throws -> Statement {
    if let known = statements[sql.utf8Start] { return known }
    var pointer: OpaquePointer?
    let code = sqlite3_prepare_v3(
      handle, UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self), Int32(truncatingIfNeeded: sql.utf8CodeUnitCount),
      UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
    guard code == SQLITE_OK, let pointer else { throw error(code) }
    let made = Statement(pointer: pointer)
    statements[sql.utf8Start] = made
    return made
  }

  private func error(_ code: Int32) -> SQLiteError { SQLiteError(code: code, handle: handle) }
}

/// What SQLite answered when it did not do as told.
struct SQLiteError: Error, CustomStringConvertible {
  /// Extended result code.
  var code: Int32
  var message: String
  /// The system's error number behind it, 0 if there is none.
  var errno: Int32 = 0

  /// `SQLITE_IOERR_WRITE`, a macro that Swift does not see.
  static let writeFailed: Int32 = SQLITE_IOERR | 3 << 8
  /// EDQUOT on Linux.
  static let quotaReached: Int32 = 122

  init(code: Int32, message: String) {
    self.code = code
    self.message = message
  }

  /// What the connection says of its last call.
  init(code: Int32, handle: OpaquePointer?) {
    self.init(code: code, message: handle.map { String(cString: sqlite3_errmsg($0)) } ?? "closed")
    // `sqlite3_system_errno` tells what came last, which after a rolled back COMMIT is another call's: the files know their own.
    if let handle, code == Self.writeFailed {
      let numbers = [SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER].map { Self.lastErrno(handle, $0) }
      errno = numbers.first { $0 != 0 } ?? sqlite3_system_errno(handle)
    }
  }

  private static func lastErrno(_ handle: OpaquePointer, _ what: Int32) -> Int32 {
    var file: UnsafeMutablePointer<sqlite3_file>?
    guard sqlite3_file_control(handle, "main", what, &file) == SQLITE_OK, let file,
      let control = file.pointee.pMethods?.pointee.xFileControl
    else { return 0 }
    var number: Int32 = 0
    return control(file, SQLITE_FCNTL_LAST_ERRNO, &number) == SQLITE_OK ? number : 0
  }

  /// ENOSPC or EDQUOT at a write. SQLite knows the first only; at a sync either means lost pages, not a full disk.
  var isFull: Bool { code & 0xFF == SQLITE_FULL || (code == Self.writeFailed && errno == Self.quotaReached) }
  /// The file does not hold what SQLite wrote.
  var isCorrupt: Bool { code & 0xFF == SQLITE_CORRUPT || code & 0xFF == SQLITE_NOTADB }
  /// A row that is to be written again holds what no row may hold: somebody else has changed it.
  var isOfWrongType: Bool { code == SQLITE_CONSTRAINT | (12 << 8) }
  /// A unique key is taken.
  var isConstraint: Bool { code & 0xFF == SQLITE_CONSTRAINT }

  var description: String { "SQLite \(code): \(message)" }

  /// What a caller of the store is told.
  var storeError: StoreError { isFull ? .full : .unavailable(description) }
}

/// A value for a parameter.
enum SQLValue {
  case null
  case int(Int64)
  case text(String)
  case blob([UInt8])
  case buffer(ByteBuffer)

  static func optional(_ value: Int64?) -> Self { value.map { .int($0) } ?? .null }
  static func optional(_ value: String?) -> Self { value.map { .text($0) } ?? .null }
  static func id(_ value: QueueIDBits) -> Self { .int(Int64(bitPattern: value)) }
}

/// The bits of a `QueueID`, as the database keeps them.
typealias QueueIDBits = UInt64
