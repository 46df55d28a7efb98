import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Rows and pages that hold what no store wrote: nothing traps, nothing runs without end, what can be read is served.
@Suite("A damaged database", .serialized)
struct DamageTests {
  /// A store with something in every table, its log emptied.
  private func made(messages: Int = 6) throws -> DiskImage {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      let account = try await store.makeAccount("a@example.test")
      try await store.setAlias(Alias(address: Make.address("al@example.test"), targets: [Make.address("x@example.org")]))
      for number in 1...messages {
        let queue = number % 2 == 0 ? ["q\(number)@example.org"] : []
        _ = try await store.accept(
          Make.acceptance(UInt64(number), to: [Make.delivery(account)], queue: queue), body: Make.body(number == 1 ? 9_000 : 40),
          claiming: false)
      }
      let inbox = try await store.mailbox("INBOX", of: account.id)
      _ = try await store.expunge([UID(rawValue: 2)], from: inbox.id, force: true)
      await store.close()
      // The next opening empties the log.
      let again = try await rig.open()
      await again.close()
    }
    return rig.disk.image
  }

  private static let integers = ["9223372036854775807", "-9223372036854775808", "4294967296", "-1"]

  @Test("every column of every table may hold anything: no call traps")
  func columns() throws {
    let image = try made()
    var columns: [(table: String, column: String, type: String)] = []
    let rig = SimulatedStore(image)
    let database = try Database(path: "store.db", vfs: rig.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
    try database.each(
      "SELECT m.name, p.name, p.type FROM sqlite_schema m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'", []
    ) { row in
      columns.append((row.text(0), row.text(1), row.text(2)))
      return true
    }
    database.close()
    #expect(columns.count > 60)
    for (table, column, type) in columns {
      let text = String(repeating: "x", count: 70_000)
      let values = type == "INTEGER" ? Self.integers : type == "BLOB" ? ["x'ffffffffffffffffffff'", "x''"] : ["''", "'\(text)'"]
      for value in values { try use(image, "UPDATE OR IGNORE \(table) SET \(column) = \(value)") }
    }
  }

  /// Damages a copy and calls everything; what each call says does not matter, but that it ends.
  private func use(_ image: DiskImage, _ damage: String) throws {
    let rig = SimulatedStore(image)
    let database = try Database(path: "store.db", vfs: rig.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
    try? database.execute(damage)
    database.close()
    try rig.executor.run {
      guard let store = try? await rig.open() else { return }
      _ = try? await store.directory().accounts.map(\.created.seconds)
      let account = try? await store.account(Make.address("a@example.test"))
      for id in [account?.id, AccountID(rawValue: 1)].compactMap(\.self) {
        _ = try? await store.usage(of: id)
        for mailbox in (try? await store.mailboxes(of: id)) ?? [] {
          _ = try? await store.uids(in: mailbox.id)
          _ = try? await store.changes(in: mailbox.id, since: ModSeq(rawValue: 1))
          for entry in (try? await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 100)) ?? [] {
            _ = entry.internalDate.seconds + entry.savedDate.seconds % 2
            _ = try? await store.read(entry.body, range: 0..<entry.size)
          }
          let message = AppendedMessage(flags: Flags(.deleted), internalDate: Timestamp(seconds: 1), summary: MessageSummary())
          _ = try? await store.append(message, body: Make.body(10), to: mailbox.id)
          _ = try? await store.setFlags(.add(Flags(.seen)), of: [UID(rawValue: 1)], in: mailbox.id, unchangedSince: nil)
          _ = try? await store.copy([UID(rawValue: 1)], from: mailbox.id, to: mailbox.id)
          _ = try? await store.expunge(nil, from: mailbox.id, force: true)
        }
      }
      if let account {
        _ = try? await store.accept(Make.acceptance(900, to: [Make.delivery(account)]), body: Make.body(9_000), claiming: false)
      }
      _ = try? await store.accept(Make.acceptance(901, queue: ["z@example.org"]), body: Make.body(10), claiming: true)
      _ = try? await store.queue(matching: QueueSelection(), after: nil, limit: 100)
      _ = try? await store.claimDue(now: Timestamp(microseconds: .max), limit: 100, leaseEnd: Timestamp(microseconds: .max))
      _ = try? await store.act(.hold, on: QueueSelection(domain: "example.org"), now: Timestamp(seconds: 5), after: nil)
      _ = try? await store.traces(naming: "a@example.test", limit: 10)
      _ = try? await store.trace(of: Make.id(1))
      _ = try? await store.group.perform { writer, _ in try writer.retain(isShort: true) }
      _ = try? await store.compact { _ in }
      _ = try? await store.verify { _ in }
      _ = try? await store.deleteMailbox("Sent", of: account?.id ?? AccountID(rawValue: 1))
      await store.close()
    }
  }

  @Test("counters that can't be right are counted anew, and mail goes on")
  func counters() throws {
    let image = try made()
    for damage in ["messages = -5", "unseen = 99", "size = 9223372036854775807", "uidnext = -1", "modseq = -1"] {
      let rig = SimulatedStore(image)
      let database = try Database(path: "store.db", vfs: rig.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
      try database.execute("UPDATE mailboxes SET \(damage)")
      database.close()
      try rig.executor.run {
        let store = try await rig.open()
        let account = try await store.account(Make.address("a@example.test"))
        _ = try await store.accept(Make.acceptance(900, to: [Make.delivery(account)]), body: Make.body(10), claiming: false)
        let inbox = try await store.mailbox("INBOX", of: account.id)
        #expect(inbox.messages == 6 && inbox.unseen == 6, "\(damage)")
        #expect(inbox.uidNext == UID(rawValue: 8), "\(damage)")
        #expect(try await store.verify { _ in }.problems == [], "\(damage)")
        await store.close()
      }
    }
  }

  @Test("a page whose rows are out of order is told of; no walk over the table runs without end")
  func rowsOutOfOrder() throws {
    let image = try made(messages: 60)
    let file = try #require(image["store.db"])
    var told = 0
    for page in 1..<file.count / 4_096 {
      var damaged = file
      let start = page * 4_096
      // A leaf of a table or an index: the places of its first and last cell change.
      guard [0x0D, 0x0A].contains(file[start]), file[start + 3] == 0, file[start + 4] > 3 else { continue }
      let first = start + 8
      let last = first + 2 * (Int(file[start + 4]) - 1)
      for octet in 0..<2 { damaged.swapAt(first + octet, last + octet) }
      var copy = image
      copy["store.db"] = damaged
      let rig = SimulatedStore(copy)
      told += try rig.executor.run {
        guard let store = try? await rig.open() else { return 0 }
        let report = try? await store.verify { _ in }
        _ = try? await store.queue(matching: QueueSelection(), after: nil, limit: 1_000)
        _ = try? await store.traces(naming: "nobody", limit: 10)
        for mailbox in (try? await store.mailboxes(of: AccountID(rawValue: 1))) ?? [] { _ = try? await store.uids(in: mailbox.id) }
        _ = try? await store.compact { _ in }
        await store.close()
        return report.map { $0.problems.isEmpty ? 0 : 1 } ?? 1
      }
    }
    #expect(told > 3)
  }

  @Test("many problems are told up to a number, the rest is counted")
  func manyProblems() {
    var report = VerifyReport(bodies: 0, entries: 0, octets: 0, problems: [])
    for _ in 0..<3 { report.add((0..<700).map { .init(what: "\($0)") }) }
    #expect(report.problems.count == 1_000)
    #expect(report.omitted == 1_100)
  }

  @Test("with any one page damaged the store opens, says so, and most of it is read (HOSTILE 56)")
  func anyPage() throws {
    let image = try made(messages: 60)
    let file = try #require(image["store.db"])
    var (opened, served, pages) = (0, 0, 0)
    for page in 1..<file.count / 4_096 {
      var copy = image
      var damaged = file
      for octet in [0, 3, 100] { damaged[page * 4_096 + octet] ^= 0xFF }
      copy["store.db"] = damaged
      pages += 1
      let rig = SimulatedStore(copy)
      let read = try rig.executor.run { () async throws -> Int? in
        guard let store = try? await rig.open() else { return nil }
        var read = 0
        _ = try? await store.verify { _ in }
        for mailbox in (try? await store.mailboxes(of: AccountID(rawValue: 1))) ?? [] {
          for entry in (try? await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 1_000)) ?? [] {
            if (try? await store.read(entry.body, range: 0..<10)) != nil { read += 1 }
          }
        }
        await store.close()
        return read
      }
      opened += read == nil ? 0 : 1
      served += read ?? 0
    }
    print("figures: one damaged page of \(pages): \(opened) stores opened, \(served) of \(pages * 59) messages read")
    // Pages of the schema itself can't be done without.
    #expect(opened >= pages - 2)
    #expect(served > pages * 59 / 2)
  }
}
