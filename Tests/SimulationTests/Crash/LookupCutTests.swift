import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Power cuts while the look-ups of the trace are written: between what they take of it and the mark of how far they are, too.
@Suite("Power cuts and the look-ups of the trace", .serialized)
struct LookupCutTests {
  private static func address(_ number: Int) -> EmailAddress { EmailAddress(localPart: "r\(number)", domain: "example.org") }

  private static func acceptance(_ number: Int, id: QueueID) -> Acceptance {
    Acceptance(
      id: id, received: Timestamp(seconds: 1_790_000_000),
      envelope: Envelope(reversePath: EmailAddress(localPart: "s", domain: "example.net")),
      prefix: [], summary: MessageSummary(messageID: "m\(number)@x"), census: BodyCensus(),
      recipients: [QueuedRecipient(address: address(number), destination: "example.org", due: Timestamp(seconds: 0))],
      trace: [TraceEvent(time: Timestamp(seconds: 1_790_000_000), kind: .received)])
  }

  /// Messages, refusals and some that come late, with the look-ups reading in between.
  private static func script(_ store: SQLiteStore) async throws {
    let body = SpooledBody(place: .memory(ByteBuffer(repeating: 0x61, count: 100)), size: 100)
    let early = (0..<4).map { _ in store.makeQueueID() }
    for number in 0..<36 {
      // Every ninth has an id from before.
      let id = number % 9 == 8 ? early[number / 9] : store.makeQueueID()
      _ = try await store.accept(acceptance(number, id: id), body: body, claiming: false)
      if number % 5 == 4 {
        store.note(
          store.makeQueueID(),
          [TraceEvent(time: Timestamp(seconds: 1_790_000_000), kind: .refused, recipient: "n\(number)@example.org")])
      }
      if number % 6 == 5 { _ = try await store.parts.lookups?.bringUpToDate() }
    }
  }

  /// What each name leads to: through the look-ups, and by reading the whole trace.
  private static func compare(_ image: DiskImage, seed: UInt64) throws -> Int {
    let world = SimulatedStore(image, seed: seed, recording: false)
    return try world.executor.run {
      let store = try await world.open(withLookups: true)
      let names = (0..<36).flatMap { ["r\($0)@example.org", "m\($0)@x", "n\($0)@example.org"] } + ["s@example.net"]
      var count = 0
      for isUpToDate in [false, true] {
        if isUpToDate { _ = try await store.parts.lookups?.bringUpToDate() }
        for name in names {
          let whole = TraceSearch(
            name: LookupName(name), lowest: .min, before: .max, limit: 100, readers: store.readers, lookups: nil, tail: .max)
          let expected = try await whole.ids()
          let found = try await store.traces(naming: name, limit: 100).map { Int64(bitPattern: $0.rawValue) }
          #expect(found == expected, "\(name), up to date: \(isUpToDate)")
          count += found.count
        }
      }
      await store.close()
      return count
    }
  }

  @Test("whenever the power goes, every message that the trace has is found by its names")
  func cuts() throws {
    let world = SimulatedStore(seed: 5, recording: true)
    try world.executor.run {
      let store = try await world.open(withLookups: true)
      try await Self.script(store)
      await store.close()
    }
    var sweep = PowerCutSweep(base: world.disk.base, operations: world.disk.recording, seed: 5)
    var cuts = 0
    var found = 0
    while !sweep.isAtEnd {
      sweep.advance()
      guard sweep.position % 7 == 0 || sweep.isAtEnd else { continue }
      for survival in Survival.allCases where survival == .kept || sweep.hasUnsynced {
        cuts += 1
        found += try Self.compare(sweep.image(survival), seed: 5)
      }
    }
    print("figures: power cuts while the trace's look-ups were written: \(cuts) cuts, \(found) names found, 0 missing")
    #expect(cuts > 100)
  }
}
