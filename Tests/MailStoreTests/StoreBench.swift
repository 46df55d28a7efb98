import Foundation
import InternetMessage
import MailModel
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MailStore

/// The commit engine alone: groups run one after another on the writer, without callers' wake-ups. `MARTLET_STORE_BENCH=1` runs it.
@Suite("Store bench", .enabled(if: ProcessInfo.processInfo.environment["MARTLET_STORE_BENCH"] != nil), .serialized)
struct StoreBench {
  private static var cpu: Double {
    var usage = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &usage)
    return Double(usage.tv_sec) * 1e6 + Double(usage.tv_nsec) / 1e3
  }

  private static func wall() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e3 }

  /// Runs `rounds` groups on the writer's worker and prints what they cost.
  private func measure(
    _ name: String, _ store: SQLiteStore, rounds: Int, size: Int, group: @escaping @Sendable (Int) -> ([Member], [Member])
  ) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      store.parts.writerWorker.submit {
        var times: [Double] = []
        let cpu = Self.cpu
        let start = Self.wall()
        for round in 0..<rounds {
          let (members, lazy) = group(round)
          let begin = Self.wall()
          let again = store.committer.run(members, lazy)
          times.append(Self.wall() - begin)
          if !again.isEmpty { print("again", again.count) }
        }
        let count = Double(rounds * size)
        let seconds = (Self.wall() - start) / 1e6
        times.sort()
        print(
          name, "g=\(size)", Int(count / seconds), "msg/s", Int((Self.cpu - cpu) / count), "us CPU/msg; group p50/p99",
          Int(times[times.count / 2]), Int(times[times.count * 99 / 100]), "us")
        continuation.resume()
      }
    }
  }

  private static func summary(_ number: Int) -> MessageSummary {
    MessageSummary(
      envelope: Array(repeating: 0x41, count: 400), bodyStructure: Array(repeating: 0x42, count: 200),
      messageID: "m\(number)@example.net",
      subject: "Hello", baseSubject: "Hello", sentDate: 1_790_000_000, from: "Sender", preview: String(repeating: "p", count: 120))
  }

  @Test("relay", arguments: [1, 4, 20])
  func relay(size: Int) async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    let finished = Mutex<[OutcomeRecord]>([])
    await measure("relay", store, rounds: size == 1 ? 10_000 : 4_000, size: size) { round in
      let members = (0..<size).map { index -> Member in
        let acceptance = Make.acceptance(UInt64(round * size + index + 1), queue: ["a@example.org"])
        return Call<Receipt>(
          kind: .accept, body: Make.body(4_096), isPassing: true,
          operation: { writer, place in
            guard let place else { throw StoreError.stale }
            return try writer.accept(acceptance, place, claiming: true)
          },
          finish: { result in
            guard case .success(let receipt) = result, let queued = receipt.queued else { return print("refused", result) }
            let record = OutcomeRecord(
              entry: queued.entries[0].id, message: queued.id, outcome: .delivered(reply: "250 2.0.0 Ok: queued as 4bXyZ"),
              trace: [
                TraceEvent(
                  time: Timestamp(seconds: 2), kind: .relayed, recipient: "a@example.org",
                  detail: [.init("reply", "250 2.0.0 Ok: queued")])
              ])
            finished.withLock { $0.append(record) }
          })
      }
      let records = finished.withLock { records in
        defer { records = [] }
        return records
      }
      let lazy = records.map { record -> Member in
        Call<Void>(kind: .lazy, body: nil, operation: { writer, _ in try writer.record([record]) }, finish: { _ in })
      }
      return (members, lazy)
    }
    await store.close()
  }

  @Test("deliver", arguments: [20, 10_000], [1, 4, 20])
  func deliver(accounts: Int, size: Int) async throws {
    let place = try StoreUnderTest()
    let store = try await place.openSQLite()
    try await store.addDomain(Domain(name: "example.test", kind: .local))
    let made = try await withThrowingTaskGroup(of: Account.self) { group in
      for number in 0..<accounts {
        group.addTask {
          try await store.addAccount(
            address: Make.address("u\(number)@example.test"), passwordHash: "", quota: 1 << 40, created: Timestamp(seconds: 1))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let random = SeededRandom(5)
    await measure("deliver to \(accounts)", store, rounds: size == 1 ? 10_000 : 4_000, size: size) { round in
      let members = (0..<size).map { index -> Member in
        let account = made[Int(random.next(below: UInt64(accounts)))]
        let number = round * size + index
        let acceptance = Make.acceptance(UInt64(number + 1), to: [Make.delivery(account)], summary: Self.summary(number))
        return Call<Receipt>(
          kind: .accept, body: Make.body(4_096), isPassing: false,
          operation: { writer, place in
            guard let place else { throw StoreError.stale }
            return try writer.accept(acceptance, place, claiming: false)
          }, finish: { if case .failure(let error) = $0 { print("refused", error) } })
      }
      return (members, [])
    }
    let report = try await store.verify { _ in }
    #expect(report.problems.isEmpty)
    await store.close()
  }
}
