import MartletSimulation
import Outside
import Synchronization
import Testing

@testable import MailStore

/// Faults that a correct store can't survive, planted to show that the enumerator finds them.
@Suite("The enumerator finds what is planted", .serialized)
struct PlantedFaultTests {
  /// Does `fault` to the matching requests whose turn (from 1) is in `turns`.
  private func plant(
    _ turns: ClosedRange<Int>, _ fault: FaultyDisk.Fault, where matches: @escaping @Sendable (FaultyDisk.Request) -> Bool
  )
    -> @Sendable (SimulatedStore) -> Void
  {
    { world in
      let counter = Counter()
      world.disk.setFaults { request in
        guard matches(request) else { return nil }
        return turns.contains(counter.next()) ? fault : nil
      }
    }
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
  }

  /// Whether the enumerator fails on a run with the plant; nil if even the run itself noticed.
  private func finds(_ plant: @escaping @Sendable (SimulatedStore) -> Void, seed: UInt64) -> String? {
    var counts = CutCounts()
    do {
      let run = try CrashRun.record(seed: seed, .init(sessions: 3, operations: 14, plant: plant))
      try PowerCuts.enumerate(run, limit: .max, counts: &counts)
      return nil
    } catch {
      return "after \(counts.cuts) cuts: \(String(describing: error).prefix(160))"
    }
  }

  @Test("without a plant it finds nothing in the same scripts")
  func clean() {
    for seed in UInt64(31)...32 { #expect(finds({ _ in }, seed: seed) == nil) }
  }

  @Test("one skipped sync of the write-ahead log, each that an acknowledgement rests on")
  func skippedLogSync() throws {
    let turns = try self.turns(seed: 31)
    let found = turns.filter { turn in
      finds(plant(turn...turn, .swallow) { $0.kind == .sync && $0.path == "store.db-wal" }, seed: 31) != nil
    }
    print("figures: planted skipped sync of the log: \(found.count) of \(turns.count) found")
    #expect(turns.count >= 8)
    #expect(found == turns)
  }

  /// Which syncs of the log (from 1, after the set-up) an acknowledgement rests on: the first dozen of those with writes before them,
  /// and with an acknowledgement behind them before the next.
  private func turns(seed: UInt64) throws -> [Int] {
    let start = Counter()
    let run = try CrashRun.record(
      seed: seed, .init(sessions: 3, operations: 14, plant: { world in for _ in 0..<world.disk.position { _ = start.next() } }))
    let log = run.final.names["store.db-wal"]
    let acknowledged = run.recorder.steps.flatMap { $0.map(\.ack) }
    var turns: [Int] = []
    var turn = 0
    var hasWrites = false
    let syncs = run.operations.indices.filter { run.operations[$0] == .sync(log ?? 0) } + [run.operations.count]
    for index in start.next() - 1..<run.operations.count {
      if case .write(log, _, _) = run.operations[index] { hasWrites = true }
      guard run.operations[index] == .sync(log ?? 0) else { continue }
      turn += 1
      let next = syncs.first { $0 > index } ?? run.operations.count
      // `ack` counts operations, so an acknowledgement right after this sync says `index + 1`.
      if hasWrites, acknowledged.contains(where: { $0 > index && $0 <= next }) { turns.append(turn) }
      hasWrites = false
    }
    return Array(turns.prefix(12))
  }

  @Test("one skipped sync of a body segment")
  func skippedSegmentSync() {
    let found = finds(plant(2...2, .swallow) { $0.kind == .sync && $0.path.hasPrefix("bodies/") }, seed: 31)
    print("figures: planted skipped sync of a segment: found \(found ?? "never")")
    #expect(found != nil)
  }

  @Test("a segment whose name was never made durable")
  func skippedFolderSync() {
    let found = finds(plant(1...100, .swallow) { $0.kind == .syncFolder && $0.path == "bodies" }, seed: 31)
    print("figures: planted skipped syncs of the folder: found \(found ?? "never")")
    #expect(found != nil)
  }

  @Test("a checkpoint that never syncs the database before its log begins anew")
  func skippedDatabaseSync() {
    let found = finds(plant(1...10_000, .swallow) { $0.kind == .sync && $0.path == "store.db" }, seed: 31)
    print("figures: planted skipped syncs of the database: found \(found ?? "never")")
    #expect(found != nil)
  }

  @Test("one torn record of a body segment, reported as written")
  func tornRecord() {
    let found = finds(
      plant(3...3, .tear(after: 1_000)) { $0.kind == .write && $0.path.hasPrefix("bodies/") && $0.count > 1_500 }, seed: 31)
    print("figures: planted torn record: found \(found ?? "never")")
    #expect(found != nil)
  }

  @Test("one torn frame of the write-ahead log, reported as written")
  func tornFrame() {
    let found = finds(
      plant(40...40, .tear(after: 512)) { $0.kind == .write && $0.path == "store.db-wal" && $0.count == 4_096 }, seed: 31)
    print("figures: planted torn frame: found \(found ?? "never")")
    #expect(found != nil)
  }
}
