import Foundation
import Glibc
import MailModel
import Outside
import Testing

@testable import MailStore

/// A trace as long as a busy server's, and how long it takes to find something in it. `MARTLET_TRACE_EVENTS=10000000` runs it
/// (`make trace-bench`).
@Suite("Trace bench", .enabled(if: ProcessInfo.processInfo.environment["MARTLET_TRACE_EVENTS"] != nil), .serialized)
struct TraceBench {
  private static func seconds(_ body: () async throws -> Void) async rethrows -> Double {
    let start = DispatchTime.now().uptimeNanoseconds
    try await body()
    return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
  }

  private static func octets(_ folder: String, _ file: String) -> Int64 {
    var status = stat()
    return stat("\(folder)/\(file)", &status) == 0 ? Int64(status.st_size) : 0
  }

  /// Lets the system forget what it keeps of the files in memory.
  private static func forget(_ folder: String) {
    sync()
    for file in ["store.db", "store.db-wal", "trace.db", "trace.db-wal"] {
      let descriptor = open("\(folder)/\(file)", O_RDONLY)
      guard descriptor >= 0 else { continue }
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
      close(descriptor)
    }
  }

  /// Looks names up as `martlet trace NAME` does, with the histories of what is found; milliseconds each.
  private static func look(for names: [String], in store: SQLiteStore, before: () -> Void = {}) async throws -> [Double] {
    var times: [Double] = []
    for name in names {
      before()
      var found = 0
      times.append(
        1_000
          * (try await seconds {
            for id in try await store.traces(naming: name, limit: 100) {
              found += 1
              #expect(try await !store.trace(of: id).isEmpty)
            }
          }))
      #expect(found > 0, "\(name)")
    }
    return times.sorted()
  }

  private static func tell(_ what: String, _ times: [Double]) {
    func shown(_ value: Double?) -> String { String(format: "%.1f", value ?? 0) }
    print(
      "figures: \(what): median \(shown(times[times.count / 2])) ms, 99 % \(shown(times[times.count * 99 / 100])) ms, slowest \(shown(times.last)) ms of \(times.count)"
    )
  }

  @Test("an address is found among millions of events")
  func millions() async throws {
    let events = UInt64(ProcessInfo.processInfo.environment["MARTLET_TRACE_EVENTS"] ?? "") ?? 0
    let messages = events / 3
    let place = try StoreUnderTest {
      $0.traceAge = 4_000_000_000
      $0.traceSize = 1 << 50
    }
    var store = try await place.openSQLite()
    let filling = try await Self.seconds {
      for first in stride(from: UInt64(1), through: messages, by: 20_000) {
        try await store.group.perform { writer, _ in
          for number in first...min(first + 19_999, messages) { try TraceFilling.insert(number, into: writer) }
        }
      }
    }
    print(String(format: "figures: %d events of %d messages written in %.0f s", Int(messages) * 3, Int(messages), filling))
    var entries: Int64 = 0
    let reading = try await Self.seconds { entries = try #require(try await store.parts.lookups?.bringUpToDate()) }
    print(String(format: "figures: %d entries in the look-ups, caught up in %.0f s more", Int(entries), reading))
    print(
      "figures: store.db \(Self.octets(place.folder, "store.db") >> 20) MiB, trace.db \(Self.octets(place.folder, "trace.db") >> 20) MiB"
    )

    let numbers = (0..<200).map { UInt64($0) &* 2_654_435_761 % messages + 1 }
    Self.tell("a recipient, in memory", try await Self.look(for: numbers.map(TraceFilling.recipient), in: store))
    Self.tell("a sender of many messages, in memory", try await Self.look(for: numbers.map(TraceFilling.sender), in: store))
    Self.tell("a Message-ID, in memory", try await Self.look(for: numbers.map(TraceFilling.messageID), in: store))
    await store.close()
    Self.forget(place.folder)
    store = try await place.openSQLite()
    _ = try await store.parts.lookups?.bringUpToDate()
    let cold = numbers.prefix(40)
    Self.tell(
      "a recipient, from disk",
      try await Self.look(for: cold.map(TraceFilling.recipient), in: store) { Self.forget(place.folder) })
    Self.tell(
      "a Message-ID, from disk",
      try await Self.look(for: cold.map(TraceFilling.messageID), in: store) { Self.forget(place.folder) })
    let rebuilding = try await Self.seconds { _ = try await store.rebuildLookups { _ in } }
    print(String(format: "figures: built anew in %.0f s", rebuilding))
    await store.close()
  }
}
