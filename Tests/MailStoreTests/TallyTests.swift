import InternetMessage
import MailModel
import Outside
import Testing

@testable import MailStore

@Suite("What waits by destination")
struct TallyTests {
  @Test("slices of the queue add up to the whole, with the oldest, the next and the last reply of each destination")
  func slices() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    // One message more than a slice holds, one with many recipients across its end.
    let count = QueueReading.slice + 500
    for number in 1...100 {
      let queue = (0..<(count / 100)).map { "r\($0)@\(number % 2 == 0 ? "even" : "odd").org" }
      _ = try await store.accept(Make.acceptance(UInt64(number), queue: queue), body: Make.body(9), claiming: false)
    }
    let entries = try await store.queue(matching: QueueSelection(ids: [Make.id(4)]), after: nil, limit: 1).flatMap(\.entries)
    let late = Timestamp(seconds: 4_000_000_000)
    let outcomes: [Outcome] = [
      .held(reason: "550 held"), .transient(reason: "451 later", next: late),
      .transient(reason: QueueEntry.keptPrefix + "550 gone", next: late.advanced(by: .seconds(1))),
    ]
    try await store.record(
      zip(entries, outcomes).map { OutcomeRecord(entry: $0.id, message: $0.message, outcome: $1) }, .durably)
    var found: [String: QueueTally] = [:]
    var slices = 0
    var place: QueuePlace?
    repeat {
      let slice = try await store.queueTallies(after: place)
      #expect(slice.tallies.reduce(0) { $0 + $1.queued } <= QueueReading.slice)
      for tally in slice.tallies {
        if found[tally.destination] == nil { found[tally.destination] = tally } else { found[tally.destination]?.add(tally) }
      }
      place = slice.next
      slices += 1
    } while place != nil && slices < 10
    #expect(slices == 2)
    let even = try #require(found["even.org"])
    #expect(found.count == 2 && found["odd.org"]?.queued == count / 2 && even.queued == count / 2)
    #expect(even.held == 1 && even.kept == 1 && even.waiting == count / 2 - 1)
    #expect(even.oldest == Make.id(2) && even.lastReply == QueueEntry.keptPrefix + "550 gone")
    #expect(found["odd.org"]?.lastReply == "")
    #expect(try await store.queueCounts().kept == 1)
    await store.close()
  }
}
