import CSQLite
import MartletSimulation
import Outside
import Testing

@Suite("SQLite on the faulty disk")
struct RecordingVFSTests {
  /// A connection with the settings of the store.
  final class Connection {
    let handle: OpaquePointer?

    init(_ vfs: RecordingVFS) throws {
      var opened: OpaquePointer?
      let code = sqlite3_open_v2("test.db", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, vfs.name)
      handle = opened
      try #require(code == SQLITE_OK)
      #expect(try text("PRAGMA journal_mode = WAL") == "wal")
      _ = try text("PRAGMA synchronous = FULL")
      _ = try text("PRAGMA wal_autocheckpoint = 0")
    }

    deinit { sqlite3_close_v2(handle) }

    @discardableResult
    func text(_ sql: String) throws -> String? {
      var statement: OpaquePointer?
      var code = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
      defer { sqlite3_finalize(statement) }
      guard code == SQLITE_OK else { throw Failure(code: code) }
      code = sqlite3_step(statement)
      guard code == SQLITE_ROW || code == SQLITE_DONE else { throw Failure(code: code) }
      return code == SQLITE_ROW ? sqlite3_column_text(statement, 0).map { String(cString: $0) } : nil
    }
  }

  struct Failure: Error { var code: Int32 }

  private func vfs(_ disk: FaultyDisk) -> RecordingVFS {
    RecordingVFS(disk: disk, clock: VirtualClock(), random: SeededRandom(seed: 1))
  }

  @Test("two connections share a database in WAL mode: a reader keeps its snapshot, a second writer is told to wait")
  func sharing() throws {
    let vfs = vfs(FaultyDisk())
    let writer = try Connection(vfs)
    try writer.text("CREATE TABLE t(a)")
    let reader = try Connection(vfs)
    try writer.text("INSERT INTO t VALUES (1)")
    try reader.text("BEGIN")
    #expect(try reader.text("SELECT count(*) FROM t") == "1")
    try writer.text("BEGIN IMMEDIATE")
    try writer.text("INSERT INTO t VALUES (2)")
    #expect(throws: Failure.self) { try Connection(vfs).text("BEGIN IMMEDIATE") }
    try writer.text("COMMIT")
    #expect(try reader.text("SELECT count(*) FROM t") == "1")
    try reader.text("COMMIT")
    #expect(try reader.text("SELECT count(*) FROM t") == "2")
    #expect(try writer.text("PRAGMA wal_checkpoint(TRUNCATE)") == "0")
    #expect(try reader.text("PRAGMA integrity_check") == "ok")
  }

  @Test("every power cut of a database with checkpoints leaves what was committed")
  func cuts() throws {
    let disk = FaultyDisk(recording: true)
    let vfs = vfs(disk)
    var committed: [(position: Int, count: Int)] = [(0, -1)]
    do {
      let writer = try Connection(vfs)
      try writer.text("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
      try disk.syncFolder("")
      committed.append((disk.position, 0))
      for count in 1...40 {
        try writer.text("INSERT INTO t VALUES (\(count), randomblob(\(count * 97)))")
        committed.append((disk.position, count))
        if count % 7 == 0 { try writer.text("PRAGMA wal_checkpoint(RESTART)") }
      }
    }
    var sweep = PowerCutSweep(base: disk.base, operations: disk.recording, seed: 7)
    var cuts = 0
    while !sweep.isAtEnd {
      sweep.advance()
      let least = committed.last { $0.position <= sweep.position }?.count ?? -1
      for survival in Survival.allCases {
        cuts += 1
        let again = self.vfs(FaultyDisk(sweep.image(survival)))
        let reader = try Connection(again)
        let count = (try? reader.text("SELECT count(*) FROM t")).flatMap(Int.init) ?? -1
        #expect(count == least || count == least + 1, "cut \(sweep.position), \(survival)")
        #expect(try reader.text("PRAGMA integrity_check") == "ok")
      }
    }
    print("figures: SQLite alone: \(cuts) cuts, 0 lost")
    #expect(cuts > 300)
  }

  @Test("a failed sync, a full disk and a failed write reach SQLite as errors")
  func faults() throws {
    let disk = FaultyDisk()
    let vfs = vfs(disk)
    let writer = try Connection(vfs)
    try writer.text("CREATE TABLE t(a)")
    for (kind, expected) in [(FaultyDisk.Request.Kind.sync, DiskError.Kind.failed), (.write, .failed), (.write, .full)] {
      disk.setFaults { $0.kind == kind ? .fail(expected) : nil }
      let code = #expect(throws: Failure.self) { try writer.text("INSERT INTO t VALUES (1)") }?.code ?? 0
      #expect(code & 0xFF == (expected == .full ? SQLITE_FULL : SQLITE_IOERR))
      disk.setFaults(nil)
    }
  }
}
