import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Bits flipped in the pages that hold rows: whatever SQLite alone can still read of a mailbox, the store serves.
@Suite("Flipped pages", .serialized)
struct FlippedPageTests {
  /// The rows that lead to a message in a mailbox, as SQLite itself reads them.
  private struct Row: Hashable {
    var account: AccountID
    var mailbox: Int64
    var uid: Int64
    var message: Int64
    /// Every column of the three rows.
    var columns: String
  }

  private static let names = (
    mailboxes: "quote(account), quote(uidvalidity), quote(name)",
    entries: "quote(flags), quote(keywords), quote(internal_date), quote(size), quote(prefix)",
    messages:
      "quote(size), quote(thread), quote(damaged), quote(checksum), quote(segment), quote(extents), quote(prefix_size), quote(prefix), "
      + "quote(summary), quote(body)"
  )

  /// What can be read row by row; a query that fails gives nothing from there on.
  private static func rows(_ image: DiskImage, _ accounts: [Account]) -> Set<Row> {
    let world = SimulatedStore(image, seed: 1, recording: false)
    guard let database = try? RawDatabase(of: world) else { return [] }
    var found: Set<Row> = []
    for account in accounts.map(\.id) {
      let mailboxes = try? database.rows(
        "SELECT id, \(names.mailboxes) FROM mailboxes WHERE account = ? AND name IS NOT NULL ORDER BY name", account.rawValue)
      for mailbox in mailboxes ?? [] {
        guard let id = mailbox[0].flatMap(Int64.init) else { continue }
        let entries = try? database.rows(
          "SELECT uid, message, \(names.entries) FROM entries WHERE mailbox = ? AND uid >= 1 ORDER BY uid LIMIT 1000", id)
        for entry in entries ?? [] {
          guard let uid = entry[0].flatMap(Int64.init), let message = entry[1].flatMap(Int64.init),
            let body = try? database.rows("SELECT \(names.messages) FROM messages WHERE id = ?", message).first
          else { continue }
          found.insert(
            Row(account: account, mailbox: id, uid: uid, message: message, columns: "\(mailbox) \(entry) \(body)"))
        }
      }
    }
    return found
  }

  /// The first page of the file, and those that hold the schema: without them nothing can be found.
  private static func headerPages(_ image: DiskImage) throws -> Set<Int> {
    let world = SimulatedStore(image, seed: 1, recording: false)
    let pages = try RawDatabase(of: world).rows("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema'")
    return Set(pages.compactMap { $0[0].flatMap { Int($0) } }).union([1])
  }

  @Test(
    "a store with flipped bits outside the header opens, is verified, and serves every message whose rows can be read (HOSTILE 56)")
  func served() throws {
    let run = try CrashRun.record(seed: 53, .init(sessions: 3, operations: 40))
    let whole = try FaultTests.checkpointed(run.final)
    let all = Self.rows(whole, run.accounts)
    #expect(all.count > 40)
    let header = try Self.headerPages(whole)
    let pages = try #require(whole["store.db"]).count / 4_096
    let random = SeededRandom(seed: 53)
    let count = PowerCuts.setting("FLIPS", 400)
    var (readable, told, readOnly, lost) = (0, 0, 0, 0)
    for _ in 0..<count {
      var file = try #require(whole["store.db"])
      var places: [Int] = []
      while places.count < 1 + Int(random.next(below: 3)) {
        let octet = Int(random.next(below: UInt64(pages * 4_096)))
        guard !header.contains(octet / 4_096 + 1) else { continue }
        file[octet] ^= UInt8(1 << random.next(below: 8))
        places.append(octet)
      }
      var image = whole
      image["store.db"] = file
      // Rows that say what they said before, by SQLite's own reading.
      let wanted = Self.rows(image, run.accounts).intersection(all)
      readable += wanted.count
      lost += all.count - wanted.count
      let found = try Self.expectServed(wanted, image, run, "octets \(places)")
      told += found.isTold ? 1 : 0
      readOnly += found.isReadOnly ? 1 : 0
    }
    print(
      "figures: flips outside the header pages: \(count) images, all opened, \(readOnly) of them read-only, \(told) with damage told; \(readable) messages readable and served, \(lost) not readable"
    )
    #expect(readable > count * all.count / 2)
    #expect(told > 0)
  }

  private static func expectServed(
    _ wanted: Set<Row>, _ image: DiskImage, _ run: CrashRun, _ place: String
  ) throws -> (isTold: Bool, isReadOnly: Bool) {
    let world = SimulatedStore(image, seed: 1, recording: false)
    return try world.executor.run {
      let store: SQLiteStore
      do { store = try await world.open() } catch { throw CrashFailure("\(place): the store does not open: \(error)") }
      let report: VerifyReport
      do { report = try await store.verify { _ in } } catch { throw CrashFailure("\(place): verify ends with \(error)") }
      for (account, rows) in Dictionary(grouping: wanted, by: \.account) {
        // As `export` does it: by the mailboxes of the account, and their entries.
        let mailboxes = try? await store.mailboxes(of: account)
        for (mailbox, rows) in Dictionary(grouping: rows, by: \.mailbox) {
          guard let box = mailboxes?.first(where: { $0.id.rawValue == mailbox }) else {
            throw CrashFailure("\(place): mailbox \(mailbox) can be read and is not listed")
          }
          let entries: [MailboxEntry]
          do { entries = try await store.entries(in: box.id, from: UID(rawValue: 1), limit: 1_000) } catch {
            throw CrashFailure("\(place): \(rows.count) messages of \(box.name) can be read and are not listed: \(error)")
          }
          let bodies = Dictionary(entries.map { (Int64($0.uid.rawValue), $0.body) }) { first, _ in first }
          for row in rows {
            guard let body = bodies[row.uid], body.rawValue == row.message else {
              throw CrashFailure(
                "\(place): UID \(row.uid) of \(box.name) can be read and is not listed, only \(bodies.keys.sorted()): \(report.problems)"
              )
            }
            let bytes = try? await store.read(body, range: 0..<1_000_000)
            guard let expected = run.recorder.bytes(of: body), let bytes, bytes.readableBytesView.elementsEqual(expected) else {
              throw CrashFailure("\(place): UID \(row.uid) of \(box.name) can be read and is not served")
            }
          }
        }
      }
      let condition = store.condition
      await store.close()
      return (!report.problems.isEmpty || !condition.damage.isEmpty, condition.state == "unavailable")
    }
  }
}
