import MailModel
import MartletSimulation
import Outside
import Testing

@testable import MailStore

@Suite("Refusals in the trace")
struct RefusalNotesTests {
  private func event(_ client: String) -> [TraceEvent] {
    [TraceEvent(time: Timestamp(seconds: 1), kind: .refused, recipient: "x@example.test", detail: [.init("client", client)])]
  }

  @Test("a client that is refused 1,500 times makes twenty rows and one that counts the rest; others are told one by one")
  func aggregated() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      for number in 0..<1_500 { store.note(Make.id(UInt64(number)), event("[192.0.2.1]")) }
      store.note(Make.id(2_000), event("[192.0.2.2]"))
      #expect(try await store.trace(of: Make.id(2_000)).count == 1)
      func rows() async throws -> Int64 {
        try await store.readers.read { try $0.first("SELECT count(*) FROM trace", []) { $0.int(0) } ?? 0 }
      }
      #expect(try await rows() == 21)
      rig.clock.advance(by: .seconds(61))
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(200)))
      _ = try await store.trace(of: Make.id(1))
      #expect(try await rows() == 22)
      await store.close()
    }
  }

  @Test("addresses of one /64 are one client, and clients beyond the bound are counted together")
  func bounded() {
    var limits = StoreLimits()
    limits.notedRefusals = 2
    limits.notedClients = 3
    let notes = RefusalNotes(limits)
    let start = MonotonicInstant(nanoseconds: 1)
    let same = (0..<5).filter { notes.admits(event("IPv6:2001:db8::\($0)"), now: start) }
    #expect(same.count == 2)
    let others = (0..<10).filter { notes.admits(event("198.51.100.\($0)"), now: start) }
    #expect(others.count == 2)
    #expect(notes.admits([TraceEvent(time: Timestamp(seconds: 1), kind: .held)], now: start))
    #expect(notes.ended(at: start) == [])
    let ended = notes.ended(at: start.advanced(by: .seconds(61)))
    #expect(ended.map(\.count) == [3, 8])
    #expect(!notes.isCounting)
  }
}
