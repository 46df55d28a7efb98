import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Power cuts in compaction and nothing else (HOSTILE 58): what was acknowledged before it is there after every cut.
@Suite("Power cuts during compaction", .serialized)
struct CompactionCutTests {
  private struct Made {
    var world: SimulatedStore
    /// Operations before compaction began.
    var start: Int
    var bodies: [UID: [UInt8]]
  }

  /// Fills segments, kills two thirds of them, and compacts, `plant` in force from then on.
  private func compacted(seed: UInt64, _ plant: FaultyDisk.FaultPlan?) throws -> Made {
    let world = SimulatedStore(seed: seed, recording: true)
    let (start, bodies) = try world.executor.run { () async throws -> (Int, [UID: [UInt8]]) in
      let store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      let account = try await store.addAccount(
        address: EmailAddress(localPart: "a", domain: "example.test"), passwordHash: "", quota: 0,
        created: world.executor.clock.now())
      let inbox = try await store.mailbox("INBOX", of: account.id).id
      var bodies: [UID: [UInt8]] = [:]
      for number in 0..<40 {
        let bytes = CrashBody.bytes(3_000 + number * 100, seed: seed << 16 | UInt64(number))
        let spool = store.makeSpool()
        defer { spool.discard() }
        try await spool.append(ByteBuffer(bytes: bytes))
        let message = AppendedMessage(flags: Flags(), internalDate: world.executor.clock.now(), summary: MessageSummary())
        bodies[try await store.append(message, body: try await spool.finish(), to: inbox)] = bytes
      }
      let gone = bodies.keys.filter { $0.rawValue % 3 != 0 }
      _ = try await store.expunge(Array(gone), from: inbox, force: true)
      for uid in gone { bodies[uid] = nil }
      let start = world.disk.position
      world.disk.setFaults(plant)
      _ = try await store.group.perform { writer, _ in try writer.retain(isShort: true) }
      #expect(try await store.compact { _ in } > 0)
      // New mail goes where dead segments were.
      for _ in 0..<12 {
        let spool = store.makeSpool()
        try await spool.append(ByteBuffer(repeating: 0x7A, count: 8_000))
        let message = AppendedMessage(flags: Flags(), internalDate: world.executor.clock.now(), summary: MessageSummary())
        _ = try await store.append(message, body: try await spool.finish(), to: inbox)
      }
      await store.close()
      return (start, bodies)
    }
    return Made(world: world, start: start, bodies: bodies)
  }

  private func check(_ image: DiskImage, _ bodies: [UID: [UInt8]], seed: UInt64) throws {
    let world = SimulatedStore(image, seed: seed, recording: false)
    try world.executor.run {
      let store = try await world.open()
      let account = try await store.account(EmailAddress(localPart: "a", domain: "example.test"))
      let inbox = try await store.mailbox("INBOX", of: account.id).id
      let entries = try await store.entries(in: inbox, from: UID(rawValue: 1), limit: 1_000)
      let found = Dictionary(entries.map { ($0.uid, $0.body) }) { first, _ in first }
      for (uid, bytes) in bodies {
        guard let body = found[uid] else { throw CrashFailure("UID \(uid.rawValue) is gone") }
        guard try await store.read(body, range: 0..<20_000).readableBytesView.elementsEqual(bytes) else {
          throw CrashFailure("UID \(uid.rawValue) has other bytes")
        }
      }
      let problems = try await store.verify { _ in }.problems
      guard problems.isEmpty else { throw CrashFailure("verify: \(problems)") }
      await store.close()
    }
  }

  private func enumerate(_ made: Made, seed: UInt64) throws -> Int {
    var sweep = PowerCutSweep(base: made.world.disk.base, operations: made.world.disk.recording, seed: seed)
    var cuts = 0
    while !sweep.isAtEnd {
      sweep.advance()
      guard sweep.position >= made.start else { continue }
      for survival in Survival.allCases where survival == .kept || sweep.hasUnsynced {
        cuts += 1
        do { try check(sweep.image(survival), made.bodies, seed: seed) } catch {
          throw CrashFailure("seed \(seed), cut \(sweep.position) (compaction from \(made.start)), \(survival): \(error)")
        }
      }
    }
    return cuts
  }

  @Test("a power cut or a kill at any moment of a compaction loses nothing (HOSTILE 58)")
  func nothingLost() throws {
    var cuts = 0
    for seed in UInt64(71)...73 { cuts += try enumerate(try compacted(seed: seed, nil), seed: seed) }
    print("figures: power cuts during compaction: \(cuts) cuts, 0 lost")
    #expect(cuts > 300)
  }

  @Test("copies that were never synced are found")
  func planted() throws {
    let made = try compacted(seed: 71) { $0.kind == .sync && $0.path.hasPrefix("bodies/") ? .swallow : nil }
    var found: String?
    do { _ = try enumerate(made, seed: 71) } catch { found = "\(error)" }
    print("figures: planted unsynced compaction: found \(found?.prefix(160) ?? "never")")
    #expect(found != nil)
  }
}
