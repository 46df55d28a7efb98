import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Power cuts that follow each other: in a recovery, and in the recovery from that, with a damaged body that each finds and quarantines.
@Suite("Power cuts in one recovery after another", .serialized)
struct RecoveryCutTests {
  /// A recovery: the disk it ran on, and what the store holds after it.
  private struct Recovered {
    var world: SimulatedStore
    var rows: [String]
    var quarantined: Int
  }

  /// Opens what a cut left, reads every body, so that damage is found, claims everything that is due, and closes.
  private static func recover(_ image: DiskImage, seed: UInt64, recording: Bool) throws -> Recovered {
    let world = SimulatedStore(image, seed: seed, recording: recording)
    try world.executor.run {
      let store = try await world.open()
      let ids = try await store.readers.read { try $0.all("SELECT id FROM messages ORDER BY id", []) { $0.int(0) } }
      for id in ids { _ = try? await store.read(BodyID(rawValue: id), range: 0..<1_000_000) }
      while try await !store.claimDue(
        now: Timestamp(microseconds: .max - 1), limit: 1_000, leaseEnd: Timestamp(microseconds: .max)
      ).isEmpty {}
      await store.close()
    }
    let rows = try rows(of: world)
    return Recovered(world: world, rows: rows, quarantined: rows.count { $0.contains("quarantined") })
  }

  /// Everything the database says. Left out: where bodies lie and the blocks that numbers come from, which may differ, and when something
  /// happened; leases, which end with the process.
  private static func rows(of world: SimulatedStore) throws -> [String] {
    let database = try RawDatabase(of: world)
    var rows: [String] = []
    let columns = [
      "messages": "id, received, size, thread, damaged, checksum, prefix, summary, body",
      "recipients":
        "message, id, CASE state WHEN 2 THEN 0 ELSE state END, due, attempts, pending, delay_notified, domain, local, last_reply",
    ]
    for table in ["domains", "accounts", "aliases", "mailboxes", "messages", "recipients", "entries", "closed", "threads"] {
      let names = try database.rows("SELECT name FROM pragma_table_info('\(table)')").compactMap { $0[0] }
      let wanted = columns[table]?.split(separator: ", ").map(String.init) ?? names
      let selected = wanted.map { "quote(\($0))" }.joined(separator: ", ")
      rows += try database.rows("SELECT \(selected) FROM \(table)").map { "\(table) \($0.map { $0 ?? "" })" }
    }
    let events = try Database(path: "store.db", vfs: world.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
    defer { events.close() }
    try events.each("SELECT id, seq, events FROM trace", []) { row in
      let events = row.int(1) == 0 ? AcceptanceRecord(row.blob(2)).events : TraceRecord.unpacked(row.blob(2))
      rows.append("trace \(row.int(0)) \(events.map { "\($0.kind) \($0.recipient ?? "")" })")
      return true
    }
    return rows.sorted()
  }

  /// One bit of a body in a segment is another: of the first whose octets are there.
  private static func damaged(_ image: DiskImage, seed: UInt64) throws -> DiskImage {
    let world = SimulatedStore(image, seed: seed, recording: false)
    let database = try Database(path: "store.db", vfs: world.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
    defer { database.close() }
    let places = try? database.all("SELECT segment, extents FROM messages WHERE segment IS NOT NULL ORDER BY id", []) { row in
      SegmentLocation(segment: UInt32(clamping: row.int(0)), encodedExtents: row.blob(1))
    }
    for case .some(let place) in places ?? [] {
      let path = BodySegments.path(of: place.segment)
      guard let extent = place.extents.first, var file = image[path] else { continue }
      let octet = Int(extent.offset) + SegmentRecord.headerSize + Int(extent.length) / 2
      guard file.indices.contains(octet) else { continue }
      file[octet] ^= 0x20
      var damaged = image
      damaged[path] = file
      return damaged
    }
    return image
  }

  @Test("a power cut in a recovery, and one in the recovery from that, lead where one clean recovery leads (HOSTILE 58)")
  func twice() throws {
    var cuts = 0
    var quarantined = 0
    for seed in UInt64(31)...33 {
      let run = try CrashRun.record(seed: seed, .init(sessions: 2, operations: 14))
      var sweep = PowerCutSweep(base: run.base, operations: run.operations, seed: seed)
      while !sweep.isAtEnd {
        sweep.advance()
        guard sweep.position % 151 == 0 || sweep.isAtEnd else { continue }
        let image = try Self.damaged(sweep.image(.torn), seed: seed)
        let clean = try Self.recover(image, seed: seed, recording: true)
        quarantined += clean.quarantined
        try again(clean, seed: seed, every: 4) { first, survival in
          cuts += 1
          let second = try Self.recover(first, seed: seed, recording: true)
          try expect(second, clean, "cut \(sweep.position), one more, \(survival)")
          try again(second, seed: seed, every: 7) { image, survival in
            cuts += 1
            let third = try Self.recover(image, seed: seed, recording: false)
            try expect(third, clean, "cut \(sweep.position), two more, \(survival)")
          }
        }
      }
    }
    print("figures: power cuts in recoveries from power cuts: \(cuts) cuts, \(quarantined) quarantined bodies, 0 lost")
    #expect(cuts > 500)
    #expect(quarantined > 3)
  }

  private func again(_ recovered: Recovered, seed: UInt64, every step: Int, _ body: (DiskImage, Survival) throws -> Void) throws {
    var sweep = PowerCutSweep(base: recovered.world.disk.base, operations: recovered.world.disk.recording, seed: seed)
    while !sweep.isAtEnd {
      sweep.advance()
      guard sweep.position % step == 0 || sweep.isAtEnd else { continue }
      for survival in Survival.allCases where survival == .kept || sweep.hasUnsynced { try body(sweep.image(survival), survival) }
    }
  }

  private func expect(_ found: Recovered, _ clean: Recovered, _ place: String) throws {
    guard found.rows != clean.rows else { return }
    let (mine, theirs) = (Set(found.rows), Set(clean.rows))
    throw CrashFailure(
      "\(place): \(mine.subtracting(theirs).sorted().prefix(5)) instead of \(theirs.subtracting(mine).sorted().prefix(5))")
  }
}
