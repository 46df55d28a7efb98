import InternetMessage
import MailModel
import Testing

@testable import MailStore

@Suite("What the store keeps of threads, and of earlier formats")
struct UpkeepTests {
  @Test("what is kept of a thread goes after its last answer, and not before")
  func threadsArePruned() async throws {
    let home = try StoreUnderTest { $0.undelete = 0 }
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let account = try await store.makeAccount("a@example.test")
    let inbox = try await store.mailbox("INBOX", of: account.id).id
    var number: UInt64 = 0
    func take(_ id: String, _ references: String...) async throws -> Int64 {
      number += 1
      let summary = MessageSummary(messageID: id, references: references)
      let receipt = try await store.accept(
        Make.acceptance(number, to: [Make.delivery(account)], summary: summary), body: Make.body(9), claiming: false)
      let uid = try #require(receipt.deliveries.first?.uid)
      return try #require(try await store.entries(in: inbox, from: uid, limit: 1).first?.threadID)
    }
    func rows() async throws -> Int64? {
      try await store.group.perform { writer, _ in
        _ = try writer.retain(isShort: false)
        return try writer.database.first("SELECT count(*) FROM threads", []) { $0.int(0) }
      }
    }
    let thread = try await take("root@x")
    #expect(try await take("second@x", "root@x") == thread)
    #expect(try await take("third@x", "second@x") == thread)
    #expect(try await take("lone@x", "elsewhere@x") != thread)
    #expect(try await rows() == 3)
    // The newest answer goes: who names it alone still finds the thread.
    _ = try await store.expunge([UID(rawValue: 3)], from: inbox, force: true)
    #expect(try await rows() == 3)
    #expect(try await take("fourth@x", "third@x") == thread)
    _ = try await store.expunge([UID(rawValue: 2), UID(rawValue: 5)], from: inbox, force: true)
    #expect(try await rows() == 1, "the lone answer's")
    _ = try await store.expunge(nil, from: inbox, force: true)
    #expect(try await rows() == 0)
    await store.close()
  }

  @Test("threads without end are pruned a step at a time, all of them in the end")
  func threadsArePrunedInSteps() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let left = try await store.group.perform { writer, _ in
      for hash in 1...2_500 {
        try writer.database.run(
          "INSERT INTO threads(hash, thread, message) VALUES(?, ?, 0)", .int(Int64(hash)), .int(Int64(hash % 7)))
      }
      var left: [Int64] = []
      while left.last != 0, left.count < 10 {
        _ = try writer.pruneThreads()
        left.append(try writer.database.first("SELECT count(*) FROM threads", []) { $0.int(0) } ?? -1)
      }
      return left
    }
    #expect(left == [1_500, 500, 0])
    await store.close()
  }

  @Test("a store of the first format is brought to this one, with what it holds")
  func upgrade() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let database = try Database(path: home.folder + "/store.db", vfs: nil, isReadOnly: false, cacheBytes: 1_048_576)
    try database.execute(try #require(Schema.steps.first))
    try database.execute("PRAGMA application_id = \(Schema.applicationID); PRAGMA user_version = 1")
    try database.execute(
      "INSERT INTO domains VALUES('example.test', 0, 0, NULL, NULL); INSERT INTO threads VALUES(1, 2)")
    database.close()
    let store = try await home.openSQLite()
    #expect(try await store.directory().domains.map(\.name) == ["example.test"])
    let found = try await store.group.perform { writer, _ in
      try writer.database.first("SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM threads)", []) {
        [$0.int(0), $0.int(1)]
      }
    }
    #expect(found == [Int64(Schema.steps.count), 1])
    await store.close()
  }
}
