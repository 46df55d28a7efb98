import CSQLite
import MartletSimulation

@testable import MailStore

/// A store's database as SQLite alone reads it.
final class RawDatabase {
  private var handle: OpaquePointer?

  struct Failure: Error { var code: Int32 }

  init(of world: SimulatedStore) throws {
    let code = sqlite3_open_v2("store.db", &handle, SQLITE_OPEN_READWRITE, world.vfs.name)
    guard code == SQLITE_OK else { throw Failure(code: code) }
  }

  deinit { sqlite3_close_v2(handle) }

  /// Rows as text; NULL is nil. What is bound are integers.
  func rows(_ sql: String, _ values: Int64...) throws -> [[String?]] {
    var statement: OpaquePointer?
    let code = sqlite3_prepare_v2(handle, sql, -1, &statement, nil)
    defer { sqlite3_finalize(statement) }
    guard code == SQLITE_OK else { throw Failure(code: code) }
    for (index, value) in values.enumerated() { sqlite3_bind_int64(statement, Int32(index + 1), value) }
    var rows: [[String?]] = []
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW:
        rows.append(
          (0..<sqlite3_column_count(statement)).map { column in sqlite3_column_text(statement, column).map { String(cString: $0) } }
        )
      case SQLITE_DONE: return rows
      case let code: throw Failure(code: code)
      }
    }
  }
}
