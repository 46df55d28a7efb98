import CSQLite
import MailModel

/// The look-ups on disk: a database of their own, in the data folder beside the store's.
///
/// `names` holds a hash of each name with the id of the message. It is cut into parts by time: new entries all go into the newest, which
/// is small enough to stay in memory, and the oldest is dropped whole. Entries and how far the trace was read (`read`) are written in one
/// transaction, so none is lost or counted twice, whenever the process ends; it need not be synced, since what a power cut takes back is
/// read again.
///
/// Confined to the look-ups' worker.
final class LookupFile {
  /// "MRTN".
  static let applicationID: Int64 = 0x4D52_544E
  private static let version: Int64 = 1

  /// One name of one message.
  struct Entry: Hashable, Comparable {
    var hash: Int64
    var id: Int64
    static func < (left: Self, right: Self) -> Bool { (left.hash, left.id) < (right.hash, right.id) }
  }

  /// A stretch of time.
  struct Part {
    var number: Int64
    /// The highest id that had been read when its last entry came.
    var last: Int64
    var entries: Int64
  }

  private static let tables = """
    CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE parts(part INTEGER PRIMARY KEY, last INTEGER NOT NULL, entries INTEGER NOT NULL) STRICT;
    CREATE TABLE names(
      part INTEGER NOT NULL, hash INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(part, hash, id)) STRICT, WITHOUT ROWID;
    """

  private let database: Database
  private let partSize: Int64
  /// Up to here the trace stands in it; `Int64.min`: nothing does.
  private(set) var read: Int64
  private(set) var parts: [Part]

  /// Opens the file, made if it is not there. One that is another's, or of another format, is refused: it is to be built anew.
  init(path: String, vfs: String?, cacheBytes: Int, partSize: Int) throws {
    database = try Database(path: path, vfs: vfs, isReadOnly: false, cacheBytes: cacheBytes)
    self.partSize = Int64(max(partSize, 1))
    // Whatever is lost is read again; WAL keeps what is left whole.
    try database.execute("PRAGMA synchronous = NORMAL")
    try database.execute("PRAGMA wal_autocheckpoint = 4000")
    let application = try database.first("PRAGMA application_id", []) { $0.int(0) } ?? 0
    let version = try database.first("PRAGMA user_version", []) { $0.int(0) } ?? 0
    if application == 0, version == 0 {
      try database.execute("BEGIN IMMEDIATE")
      try database.execute(Self.tables)
      try database.execute("PRAGMA application_id = \(Self.applicationID)")
      try database.execute("PRAGMA user_version = \(Self.version)")
      try database.execute("COMMIT")
    } else if application != Self.applicationID || version != Self.version {
      throw StoreError.invalid("it has another format (application id \(application), version \(version))")
    }
    read = try database.first("SELECT value FROM meta WHERE key = 'read'", []) { $0.int(0) } ?? .min
    parts = try database.all("SELECT part, last, entries FROM parts ORDER BY part", []) {
      Part(number: $0.int(0), last: $0.int(1), entries: $0.int(2))
    }
  }

  func close() { database.close() }

  // MARK: Writing

  /// Takes `entries`, and the trace for read up to `end`, together.
  ///
  /// - Parameter isDurable: synced when it returns, since whoever gave the entries forgets them.
  func add(_ entries: [Entry], readTo end: Int64, isDurable: Bool = false) throws {
    var part = parts.last ?? Part(number: 1, last: .min, entries: 0)
    if part.entries >= partSize { part = Part(number: part.number &+ 1, last: part.last, entries: 0) }
    part.last = max(part.last, end, entries.lazy.map(\.id).max() ?? .min)
    part.entries = part.entries &+ Int64(entries.count)
    try transaction(isDurable: isDurable) {
      // In the order in which they stand, each page of the newest part is written once.
      for entry in entries.sorted() {
        try database.run(
          "INSERT OR IGNORE INTO names VALUES(?, ?, ?)", .int(part.number), .int(entry.hash), .int(entry.id))
      }
      try database.run("INSERT OR REPLACE INTO parts VALUES(?, ?, ?)", .int(part.number), .int(part.last), .int(part.entries))
      try database.run("INSERT OR REPLACE INTO meta VALUES('read', ?)", .int(max(end, read)))
    }
    read = max(end, read)
    if parts.last?.number == part.number { parts[parts.count - 1] = part } else { parts.append(part) }
  }

  /// Drops the oldest part; `kept` are its entries that still lead somewhere.
  func dropOldest(keeping kept: [Entry]) throws {
    guard parts.count > 1, let oldest = parts.first, let newest = parts.last else { return }
    try transaction(isDurable: false) {
      for entry in kept.sorted() {
        try database.run(
          "INSERT OR IGNORE INTO names VALUES(?, ?, ?)", .int(newest.number), .int(entry.hash), .int(entry.id))
      }
      try database.run("DELETE FROM names WHERE part = ?", .int(oldest.number))
      try database.run("DELETE FROM parts WHERE part = ?", .int(oldest.number))
    }
    parts.removeFirst()
  }

  private func transaction(isDurable: Bool, _ body: () throws -> Void) throws {
    if isDurable { try database.execute("PRAGMA synchronous = FULL") }
    defer { if isDurable { try? database.execute("PRAGMA synchronous = NORMAL") } }
    try database.run("BEGIN IMMEDIATE")
    do {
      try body()
      try database.run("COMMIT")
    } catch {
      if database.isInTransaction { try? database.run("ROLLBACK") }
      throw error
    }
  }

  // MARK: Reading

  /// Ids from `lowest` on and below `before` that `hash` leads to, the newest first, at most `limit`.
  func ids(of hash: Int64, from lowest: Int64, before: Int64, limit: Int) throws -> [Int64] {
    var found: [Int64] = []
    for part in parts.reversed() where part.last >= lowest {
      try database.each(Self.search, [.int(part.number), .int(hash), .int(lowest), .int(before), .int(Int64(limit))]) { row in
        found.append(row.int(0))
        return true
      }
    }
    found.sort(by: >)
    var result: [Int64] = []
    for id in found where result.last != id && result.count < limit { result.append(id) }
    return result
  }

  private static let search: StaticString = """
    SELECT id FROM names WHERE part = ? AND hash = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?
    """

  /// What the look-ups so far cost: rows stepped over without an index, rows sorted, operations of SQLite's machine.
  func cost() throws -> (scanned: Int, sorted: Int, operations: Int) {
    let statement = try database.statement(Self.search).pointer
    func counter(_ what: Int32) -> Int { Int(sqlite3_stmt_status(statement, what, 0)) }
    return (
      counter(SQLITE_STMTSTATUS_FULLSCAN_STEP), counter(SQLITE_STMTSTATUS_SORT), counter(SQLITE_STMTSTATUS_VM_STEP)
    )
  }

  /// Entries in all.
  func count() throws -> Int64 { try database.first("SELECT count(*) FROM names", []) { $0.int(0) } ?? 0 }

  /// Brings everything into the file itself.
  func checkpoint() throws { _ = try database.first("PRAGMA wal_checkpoint(TRUNCATE)", []) { $0.int(0) } }

  /// Reads every page from the file again.
  func forgetPages() throws { try database.execute("PRAGMA shrink_memory") }

  /// What SQLite's own check finds; empty if all is well.
  func problems() throws -> [String] {
    try database.all("PRAGMA quick_check(10)", []) { $0.text(0) }.filter { $0 != "ok" }
  }
}
