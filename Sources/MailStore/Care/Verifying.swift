import Bytes
import MailModel
import Outside

extension SQLiteStore {
  /// Checks the database's structure, every body's checksum, every pointer, and every counter against its rows. It reads a page at a
  /// time beside the running store; only the first step (SQLite's own check) holds one snapshot while it lasts.
  public func verify(progress: @escaping @Sendable (VerifyProgress) -> Void) async throws(StoreError) -> VerifyReport {
    var report = VerifyReport(bodies: 0, entries: 0, octets: 0, problems: [])
    progress(VerifyProgress(done: 0, total: 0, what: "database"))
    try await step(&report, "the database's structure") { try VerifyReading.structure(in: $0) }
    var total: Int64 = 0
    do throws(StoreError) { total = try await readers.read { try VerifyReading.messages(in: $0) } } catch {
      report.add([.init(what: "messages can't be counted: \(error)")])
    }
    try await verifyMessages(total, into: &report, progress)
    try await verifyMailboxes(into: &report, progress)
    try await step(&report, "pointers") { try VerifyReading.strays(in: $0) }
    // A file that is being built anew has nothing to be checked.
    for problem in (try? await parts.lookups?.withFile { try $0.problems() }) ?? [] {
      report.add([.init(what: "the trace's look-ups: \(problem); \"martlet store rebuild\" builds them anew")])
    }
    return report
  }

  /// One step; what can't be read is a problem, not the end.
  private func step(
    _ report: inout VerifyReport, _ what: String, _ read: @escaping @Sendable (Database) throws -> [VerifyReport.Problem]
  ) async throws(StoreError) {
    do throws(StoreError) {
      report.add(try await readers.read(read))
    } catch {
      guard error != .closed else { throw error }
      report.add([.init(what: "\(what) can't be read: \(error)")])
    }
  }

  private func verifyMessages(
    _ total: Int64, into report: inout VerifyReport, _ progress: @Sendable (VerifyProgress) -> Void
  ) async throws(StoreError) {
    var after: Int64? = Int64.min
    while let from = after {
      guard !Task.isCancelled else { throw .closed }
      do throws(StoreError) {
        let page = try await readers.read { [bodies] in try VerifyReading.bodies(after: from, bodies: bodies, in: $0) }
        report.bodies = report.bodies.addedClamped(page.count)
        report.octets = report.octets.addedClamped(page.octets)
        report.add(page.problems)
        after = page.next
      } catch {
        guard error != .closed else { throw error }
        report.add([.init(what: "the messages after \(from) can't be read: \(error)")])
        return
      }
      progress(VerifyProgress(done: report.bodies, total: max(total, report.bodies), what: "messages"))
    }
  }

  private func verifyMailboxes(
    into report: inout VerifyReport, _ progress: @Sendable (VerifyProgress) -> Void
  ) async throws(StoreError) {
    var after: Int64? = 0
    var done: Int64 = 0
    while let from = after {
      guard !Task.isCancelled else { throw .closed }
      do throws(StoreError) {
        let page = try await readers.read { try VerifyReading.mailbox(after: from, in: $0) }
        after = page.next
        report.entries = report.entries.addedClamped(page.entries)
        report.add(page.problems)
        guard page.next != nil else { break }
      } catch {
        guard error != .closed else { throw error }
        report.add([.init(what: "the mailboxes after \(from) can't be read: \(error)")])
        return
      }
      done += 1
      progress(VerifyProgress(done: done, total: done, what: "mailboxes"))
    }
  }
}

/// The steps of `verify`.
enum VerifyReading {
  static func structure(in database: Database) throws -> [VerifyReport.Problem] {
    let lines = try database.all("PRAGMA integrity_check(100)", []) { $0.text(0) }.flatMap { $0.split(separator: "\n") }
    // Pages that an index left when it was made anew cost space only.
    return lines.filter { $0 != "ok" && !$0.hasPrefix("*** in database") && !$0.hasSuffix("is never used") }
      .map { .init(what: "database: \($0)") }
  }

  static func messages(in database: Database) throws -> Int64 {
    try database.first("SELECT count(*) FROM messages", []) { $0.int(0) } ?? 0
  }

  static func bodies(
    after: Int64, bodies: any BodyStorage, in database: Database
  ) throws -> (count: Int64, octets: Int64, problems: [VerifyReport.Problem], next: Int64?) {
    let rows = try database.all(
      """
      SELECT id, size, EXISTS(SELECT 1 FROM entries WHERE message = id) OR EXISTS(SELECT 1 FROM recipients WHERE message = messages.id)
        OR EXISTS(SELECT 1 FROM closed WHERE message = messages.id) FROM messages WHERE id > ? ORDER BY id LIMIT 200
      """, [.int(after)]
    ) { ($0.int(0), $0.int(1), $0.int(2) != 0) }
    var problems: [VerifyReport.Problem] = []
    var octets: Int64 = 0
    var last = after
    for (place, (id, size, isUsed)) in rows.enumerated() {
      guard id > last else {
        // A page of the table stands where it does not belong: what follows would come again and again.
        problems.append(.init(what: "the table of messages is damaged: after \(last) comes \(id); what follows was not checked"))
        return (Int64(place), octets, problems, nil)
      }
      last = id
      octets = octets.addedClamped(max(size, 0))
      let queueID = QueueID(rawValue: UInt64(bitPattern: id))
      do {
        if try !BodyReading.isWhole(BodyID(rawValue: id), bodies: bodies, in: database) {
          problems.append(.init(what: "the bytes of a message fail their checksum", messages: [queueID]))
        }
      } catch let error as SQLiteError where error.isCorrupt {
        problems.append(.init(what: "the row of a message can't be read: \(error)", messages: [queueID]))
      }
      if !isUsed { problems.append(.init(what: "nothing points to a message", messages: [queueID])) }
    }
    return (Int64(rows.count), octets, problems, rows.last?.0)
  }

  static func mailbox(
    after: Int64, in database: Database
  ) throws -> (entries: Int64, problems: [VerifyReport.Problem], next: Int64?) {
    let row = try database.first(
      """
      SELECT id, messages, unseen, deleted, size, uidnext, modseq FROM mailboxes WHERE id > ? AND name IS NOT NULL ORDER BY id LIMIT 1
      """, [.int(after)]
    ) { row in (row.int(0), (1...6).map { row.int($0) }) }
    guard let (id, kept) = row else { return (0, [], nil) }
    guard id > after else {
      let what = "the table of mailboxes is damaged: after \(after) comes \(id); what follows was not checked"
      return (0, [.init(what: what)], nil)
    }
    let found =
      try database.first(
        """
        SELECT count(*), coalesce(sum(flags & 1 = 0), 0), coalesce(sum(flags & 8 <> 0), 0), cast(total(size) AS INTEGER),
          coalesce(max(uid), 0), coalesce(max(modseq), 0) FROM entries WHERE mailbox = ?
        """, [.int(id)]
      ) { row in (Int32(0)..<6).map { row.int($0) } } ?? []
    var problems: [VerifyReport.Problem] = []
    if found.count == 6 {
      if Array(found.prefix(4)) != Array(kept.prefix(4)) {
        problems.append(.init(what: "mailbox \(id): counters \(Array(kept.prefix(4))), rows \(Array(found.prefix(4)))"))
      }
      if found[4] >= kept[4] { problems.append(.init(what: "mailbox \(id): UID \(found[4]) is not below UIDNEXT \(kept[4])")) }
      if found[5] > kept[5] { problems.append(.init(what: "mailbox \(id): MODSEQ \(found[5]) is above the highest, \(kept[5])")) }
    }
    return (found.first ?? 0, problems, id)
  }

  /// Pointers to nothing.
  static func strays(in database: Database) throws -> [VerifyReport.Problem] {
    var problems = try database.all(
      """
      SELECT mailbox, uid, message FROM entries WHERE message NOT IN (SELECT id FROM messages)
        OR mailbox NOT IN (SELECT id FROM mailboxes) LIMIT 100
      """, []
    ) { row -> VerifyReport.Problem in
      .init(
        what: "mailbox \(row.int(0)), UID \(row.int(1)) points to nothing",
        messages: [QueueID(rawValue: UInt64(bitPattern: row.int(2)))])
    }
    problems += try database.all(
      "SELECT DISTINCT message FROM recipients WHERE message NOT IN (SELECT id FROM messages) LIMIT 100", []
    ) {
      .init(what: "a queue entry points to no message", messages: [QueueID(rawValue: UInt64(bitPattern: $0.int(0)))])
    }
    return problems
  }
}
