import InternetMessage
import MailModel
import Outside
import Testing

@testable import MailStore

@Suite("A long queue")
struct LongQueueTests {
  @Test(
    "an order for many goes in bounded transactions: each does the next ones, all are done once",
    arguments: [QueueSelection(), QueueSelection(domain: "x.org"), QueueSelection(ids: (1...9).map { Make.id($0) })])
  func orderedInParts(selection: QueueSelection) async throws {
    let home = try StoreUnderTest { $0.actedOn = 4 }
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    // Messages with more and fewer recipients than one transaction changes, some of which don't match at all.
    for number in 1...9 {
      let queue = (0..<(number == 3 ? 10 : 1)).map { "r\($0)@\(number == 5 ? "y" : "x").org" }
      _ = try await store.accept(Make.acceptance(UInt64(number), queue: queue), body: Make.body(9), claiming: false)
    }
    let matching = selection.domain == nil ? 18 : 17
    for action in [QueueAction.hold, .release, .hold, .remove] {
      var counts: [Int] = []
      var place: QueuePlace?
      repeat {
        let acted = try await store.act(action, on: selection, now: Timestamp(seconds: 5), after: place)
        counts.append(acted.count)
        place = acted.next
        // Others are served in between.
        if counts.count == 2, action == .release { #expect(try await store.queueCounts().held == matching - counts.reduce(0, +)) }
      } while place != nil && counts.count < 100
      #expect(counts.reduce(0, +) == matching && counts.allSatisfy { $0 <= 4 }, "\(counts)")
      #expect(try await store.act(action, on: selection, now: Timestamp(seconds: 5), after: nil).count == 0)
    }
    let left = try await store.queue(matching: QueueSelection(), after: nil, limit: 100)
    #expect(left.flatMap(\.entries).count == 18 - matching)
    // What is removed in parts is gone with its last part.
    #expect((try? await store.read(BodyID(rawValue: Int64(bitPattern: Make.id(3).rawValue)), range: 0..<9)) == nil)
    await store.close()
  }

  @Test("a page of the queue ends with the message that has too many recipients, and the next goes on behind it")
  func pagesOfTheQueue() async throws {
    let home = try StoreUnderTest { $0.pageRecipients = 6 }
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    for (number, count) in [3, 2, 9, 1, 1].enumerated() {
      let queue = (0..<count).map { "r\($0)@x.org" }
      _ = try await store.accept(Make.acceptance(UInt64(number + 1), queue: queue), body: Make.body(9), claiming: false)
    }
    for selection in [QueueSelection(), QueueSelection(ids: (1...5).reversed().map { Make.id($0) })] {
      var pages: [[Int]] = []
      var after: QueueID?
      while true {
        let page = try await store.queue(matching: selection, after: after, limit: 10)
        guard let last = page.last else { break }
        after = last.id
        pages.append(page.map(\.entries.count))
      }
      #expect(pages == [[3, 2, 9], [1, 1]])
    }
    await store.close()
  }
}
