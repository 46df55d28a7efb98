import Foundation
import InternetMessage
import MailModel
import Outside
import Synchronization
import Testing

@testable import MailStore

/// The trace's look-ups by address and Message-ID.
@Suite("Look-ups of the trace", .serialized)
struct LookupTests {
  /// Message `number` to a recipient of its own, with a Message-ID of its own.
  private static func message(_ number: UInt64, id: QueueID? = nil) -> Acceptance {
    var acceptance = Make.acceptance(
      number, queue: ["R\(number)@example.org"], summary: MessageSummary(messageID: "m\(number)@x.net"))
    if let id { acceptance.id = id }
    return acceptance
  }

  private static func fill(_ store: SQLiteStore, _ numbers: ClosedRange<UInt64>) async throws {
    for number in numbers { _ = try await store.accept(message(number), body: Make.body(9), claiming: false) }
  }

  private static func expectAll(_ numbers: ClosedRange<UInt64>, in store: SQLiteStore) async throws {
    for number in numbers {
      #expect(try await store.traces(naming: "r\(number)@EXAMPLE.org", limit: 5) == [Make.id(number)])
      #expect(try await store.traces(naming: "<m\(number)@x.net>", limit: 5) == [Make.id(number)])
    }
    let ofSender = try await store.traces(naming: "sender@example.net", limit: 1_000)
    #expect(ofSender == numbers.reversed().map(Make.id))
  }

  private static func lookups(of store: SQLiteStore) throws -> TraceLookups { try #require(store.parts.lookups) }

  @Test("a message is found by its names before the look-ups have read it, after it, and after a restart")
  func found() async throws {
    let place = try StoreUnderTest { $0.lookupBatch = 7 }
    var store = try await place.openSQLite()
    try await Self.fill(store, 1...30)
    try await Self.expectAll(1...30, in: store)
    // A sender, a recipient and a Message-ID each.
    #expect(try await Self.lookups(of: store).bringUpToDate() == 90)
    try await Self.expectAll(1...30, in: store)
    try await Self.fill(store, 31...40)
    try await Self.expectAll(1...40, in: store)
    await store.close()
    store = try await place.openSQLite()
    try await Self.expectAll(1...40, in: store)
    #expect(try await Self.lookups(of: store).bringUpToDate() == 120)
    try await Self.expectAll(1...40, in: store)
    #expect(try await store.traces(naming: "nobody@example.org", limit: 5) == [])
    await store.close()
  }

  @Test("from an id on one pages back through everything, whether the look-ups have read it or not", arguments: [false, true])
  func paged(isRead: Bool) async throws {
    let place = try StoreUnderTest { $0.lookupBatch = 7 }
    let store = try await place.openSQLite()
    try await Self.fill(store, 1...25)
    if isRead { _ = try await Self.lookups(of: store).bringUpToDate() }
    var found: [QueueID] = []
    while true {
      let page = try await store.traces(naming: "sender@example.net", since: nil, before: found.last, limit: 4)
      found += page
      if page.count < 4 { break }
    }
    #expect(found == (1...25).reversed().map(Make.id))
    await store.close()
  }

  @Test("a store that is only read answers, refuses what would write, and leaves its files as they are")
  func readOnly() async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    try await Self.fill(store, 1...5)
    await store.close()
    func files() throws -> [String: Data?] {
      let manager = FileManager.default
      let names = try manager.subpathsOfDirectory(atPath: place.folder).filter { !$0.hasSuffix("-shm") }
      return Dictionary(uniqueKeysWithValues: names.map { ($0, manager.contents(atPath: "\(place.folder)/\($0)")) })
    }
    let before = try files()
    let reading = try await place.openSQLite(changing: { $0.isReadOnly = true })
    #expect(try await reading.traces(since: nil, after: nil, limit: 10).map(\.id) == (1...5).map(Make.id))
    #expect(try await reading.traces(naming: "r3@example.org", limit: 10) == [Make.id(3)])
    await #expect(throws: StoreError.self) { try await reading.accept(Self.message(9), body: Make.body(9), claiming: false) }
    #expect(try files() == before)
    // It holds nobody up.
    let other = try await place.openSQLite()
    await other.close()
    await reading.close()
    let empty = try StoreUnderTest()
    await #expect(throws: StoreError.self) { try await empty.openSQLite(changing: { $0.isReadOnly = true }) }
    #expect(try FileManager.default.subpathsOfDirectory(atPath: empty.folder).isEmpty)
  }

  @Test("only what came since then, the newest first, and no more than asked for")
  func bounded() async throws {
    let place = try StoreUnderTest { $0.lookupPart = 50 }
    let store = try await place.openSQLite()
    func id(_ minute: Int64) -> QueueID { QueueID(at: Timestamp(seconds: 1_780_000_000 + minute * 60), randomness: 0) }
    for minute in Int64(0)..<100 {
      _ = try await store.accept(Self.message(UInt64(minute), id: id(minute)), body: Make.body(9), claiming: false)
      if minute % 20 == 19 { _ = try await Self.lookups(of: store).bringUpToDate() }
    }
    #expect(try await Self.lookups(of: store).withFile { $0.parts.count } > 2)
    let since = Timestamp(seconds: 1_780_000_000 + 40 * 60)
    #expect(
      try await store.traces(naming: "sender@example.net", since: since, limit: 1_000) == (Int64(40)..<100).reversed().map(id))
    #expect(try await store.traces(naming: "sender@example.net", since: nil, limit: 3) == [99, 98, 97].map(id))
    await store.close()
  }

  @Test("what is committed with an id that the look-ups have passed is found, at once and after a restart")
  func late() async throws {
    let place = try StoreUnderTest()
    var store = try await place.openSQLite()
    try await Self.fill(store, 100...110)
    _ = try await Self.lookups(of: store).bringUpToDate()
    _ = try await store.accept(Self.message(5), body: Make.body(9), claiming: false)
    store.note(Make.id(6), [TraceEvent(time: place.clock.now(), kind: .refused, recipient: "late@example.org")])
    #expect(try await store.traces(naming: "r5@example.org", limit: 5) == [Make.id(5)])
    #expect(try await store.traces(naming: "late@example.org", limit: 5) == [Make.id(6)])
    await store.close()
    store = try await place.openSQLite()
    #expect(try await store.traces(naming: "r5@example.org", limit: 5) == [Make.id(5)])
    _ = try await Self.lookups(of: store).bringUpToDate()
    // The marks have gone, and what they stood for is in the look-ups.
    try await store.record([], .durably)
    #expect(try await store.readers.read { try LateRows.all(in: $0).count } == 0)
    #expect(try await store.traces(naming: "r5@example.org", limit: 5) == [Make.id(5)])
    #expect(try await store.traces(naming: "late@example.org", limit: 5) == [Make.id(6)])
    await store.close()
  }

  @Test("a file that is damaged, foreign or gone is built anew, and meanwhile only its own readers are told (HOSTILE 56)")
  func broken() async throws {
    for damage in ["noise", "foreign", "gone"] {
      let told = Mutex<[StoreNotice]>([])
      let place = try StoreUnderTest()
      var store = try await place.openSQLite()
      try await Self.fill(store, 1...50)
      _ = try await Self.lookups(of: store).bringUpToDate()
      await store.close()
      let file = "\(place.folder)/trace.db"
      for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file + suffix) }
      switch damage {
      case "noise": try Data(repeating: 0x5A, count: 40_960).write(to: URL(fileURLWithPath: file))
      case "foreign":
        try FileManager.default.copyItem(atPath: "\(place.folder)/store.db", toPath: file + ".new")
        try FileManager.default.removeItem(atPath: file)
        try FileManager.default.moveItem(atPath: file + ".new", toPath: file)
      default: try FileManager.default.removeItem(atPath: file)
      }
      store = try await place.openSQLite(tell: { notice in told.withLock { $0.append(notice) } })
      #expect(try await Self.lookups(of: store).bringUpToDate() == 150)
      try await Self.expectAll(1...50, in: store)
      try await Self.fill(store, 51...51)
      if damage != "gone" {
        #expect(told.withLock { $0.contains { if case .lookupsBuiltAnew = $0 { true } else { false } } }, "\(damage)")
      }
      await store.close()
    }
  }

  @Test("damage found by a look-up starts the file anew; a long trace says so until it is built")
  func brokenWhileOpen() async throws {
    let place = try StoreUnderTest { $0.lookupTail = 10 }
    let store = try await place.openSQLite()
    try await Self.fill(store, 1...5_000)
    _ = try await Self.lookups(of: store).bringUpToDate()
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(place.folder)/trace.db"))
    try await Self.lookups(of: store).withFile { try $0.checkpoint() }
    let size = try handle.seekToEnd()
    try handle.seek(toOffset: 8_192)
    try handle.write(contentsOf: Data(repeating: 0xA5, count: Int(size) - 8_192))
    try await Self.lookups(of: store).withFile { try $0.forgetPages() }
    let answer = await Self.refusal(of: "r77@example.org", in: store)
    #expect(answer?.description.contains("being built") == true, "\(String(describing: answer))")
    // Nobody else is concerned.
    #expect(try await store.trace(of: Make.id(77)).map(\.kind) == [.received, .queued])
    _ = try await store.accept(Self.message(5_001), body: Make.body(9), claiming: false)
    #expect(try await Self.lookups(of: store).bringUpToDate() == 15_003)
    try await Self.expectAll(77...77, named: 77, in: store)
    await store.close()
  }

  private static func refusal(of name: String, in store: SQLiteStore) async -> StoreError? {
    do throws(StoreError) {
      _ = try await store.traces(naming: name, limit: 5)
      return nil
    } catch {
      return error
    }
  }

  private static func expectAll(_ numbers: ClosedRange<UInt64>, named number: UInt64, in store: SQLiteStore) async throws {
    #expect(try await store.traces(naming: "r\(number)@example.org", limit: 5) == numbers.map(Make.id))
  }

  @Test("an order builds the file anew, tells how far it is, and ends when all is in it")
  func rebuilt() async throws {
    let place = try StoreUnderTest { $0.lookupBatch = 20 }
    let store = try await place.openSQLite()
    func id(_ minute: Int64) -> QueueID { QueueID(at: Timestamp(seconds: 1_780_000_000 + minute * 60), randomness: 0) }
    for minute in Int64(0)..<100 {
      _ = try await store.accept(Self.message(UInt64(minute), id: id(minute)), body: Make.body(9), claiming: false)
    }
    let reports = Mutex<[VerifyProgress]>([])
    #expect(try await store.rebuildLookups { report in reports.withLock { $0.append(report) } } == 300)
    let told = reports.withLock { $0 }
    #expect(told.count > 3 && told.allSatisfy { $0.total == 99 * 60 } && told.last?.done == 99 * 60)
    #expect(told.map(\.done) == told.map(\.done).sorted())
    #expect(try await store.traces(naming: "r7@example.org", limit: 5) == [id(7)])
    await store.close()
  }

  @Test("retention by age and by octets takes the look-ups along; what is still queued is kept")
  func retention() async throws {
    let place = try StoreUnderTest {
      $0.lookupPart = 90
      $0.lookupBatch = 30
      $0.traceAge = 3_600
    }
    let store = try await place.openSQLite()
    let lookups = try Self.lookups(of: store)
    let kept = QueueID(at: place.clock.now(), randomness: 1)
    _ = try await store.accept(Self.message(1, id: kept), body: Make.body(9), claiming: false)
    for number in UInt64(2)...200 {
      place.clock.advance(seconds: 60)
      let id = QueueID(at: place.clock.now(), randomness: number)
      let receipt = try await store.accept(Self.message(number, id: id), body: Make.body(9), claiming: false)
      let entry = try #require(receipt.queued?.entries.first)
      try await store.record([OutcomeRecord(entry: entry.id, message: id, outcome: .delivered(reply: "250 ok"))], .durably)
    }
    _ = try await lookups.bringUpToDate()
    let before = try await lookups.withFile { try $0.count() }
    #expect(before == 600)
    // What retention does in its rounds.
    var again = true
    while again { again = try await store.group.perform { writer, _ in try writer.retain(isShort: false) } }
    // One part goes a round, and how many there are hangs on when the look-ups read.
    var after = before
    for _ in 0..<100 where after >= 300 {
      _ = try await lookups.bringUpToDate()
      after = try await lookups.withFile { try $0.count() }
    }
    #expect(after < 300, "\(after) entries are left")
    #expect(try await store.traces(naming: "r2@example.org", limit: 5) == [])
    #expect(try await store.traces(naming: "r1@example.org", limit: 5) == [kept])
    #expect(try await store.traces(naming: "r200@example.org", limit: 5).count == 1)
    await store.close()
  }

  @Test("a look-up goes by the index, however many entries there are")
  func plan() async throws {
    let place = try StoreUnderTest { $0.lookupPart = 20_000 }
    let store = try await place.openSQLite()
    try await store.group.perform { writer, _ in
      for number in UInt64(1)...100_000 { try TraceFilling.insert(number, into: writer) }
    }
    let lookups = try Self.lookups(of: store)
    _ = try await lookups.bringUpToDate()
    let before = try await lookups.withFile { try $0.cost() }
    for number in [UInt64(3), 50_000, 99_999] {
      #expect(
        try await store.traces(naming: TraceFilling.recipient(number), limit: 100).map(\.rawValue).contains(
          TraceFilling.id(number).rawValue))
    }
    let cost = try await lookups.withFile { try $0.cost() }
    #expect(cost.scanned == before.scanned && cost.sorted == before.sorted)
    // Three look-ups in some twelve parts each: 100,000 entries were not walked through.
    #expect(cost.operations - before.operations < 20_000, "\(cost.operations - before.operations) operations")
    await store.close()
  }
}
