import CSQLite
import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// Faults the store must survive while it runs: writes and syncs that fail, disks that are full.
@Suite("Faults while the store runs", .serialized)
struct FaultTests {
  private static let shape = CrashRun.Shape(sessions: 2, operations: 9, toleratesFailures: true, opensAgain: true)

  /// Requests a clean run makes after its set-up: what a fault can hit.
  private func requests(seed: UInt64) throws -> (first: Int, last: Int) {
    let first = Box()
    let last = Box()
    var shape = Self.shape
    shape.plant = { first.value = $0.disk.requests }
    shape.between = { world, _ in last.value = world.disk.requests }
    _ = try CrashRun.record(seed: seed, shape)
    return (first.value, last.value)
  }

  private final class Box: @unchecked Sendable {
    // `@unchecked Sendable`: a simulation has one thread.
    var value = 0
  }

  /// Runs the script once for every request it makes, with a fault there; the state at the end must be what the sessions were told, now and
  /// after a power cut.
  private func campaign(
    _ name: String, seed: UInt64, kinds: Set<FaultyDisk.Request.Kind>, lasting: Int, cuts: Bool = false, _ fault: FaultyDisk.Fault
  ) throws {
    let (first, last) = try requests(seed: seed)
    var runs = 0
    var counts = CutCounts()
    var refusals = 0
    for number in first...last {
      let hit = Box()
      var shape = Self.shape
      shape.plant = { world in
        world.disk.setFaults { request in
          guard kinds.contains(request.kind), (number..<number + lasting).contains(request.number) else { return nil }
          hit.value += 1
          return fault
        }
      }
      do {
        let run = try CrashRun.record(seed: seed, shape)
        guard hit.value > 0 else { continue }
        runs += 1
        refusals += run.recorder.refusals
        let check = CrashCheck(run)
        var sweep = PowerCutSweep(base: run.base, operations: run.operations, seed: seed)
        while !sweep.isAtEnd { sweep.advance() }
        for survival in Survival.allCases {
          try check.check(sweep.image(survival), at: .max, goesOn: survival == .kept, seed: seed)
        }
        // What is acknowledged after the fault must outlive a cut at once, not only at the end.
        if cuts { try PowerCuts.enumerate(run, limit: .max, onlyAtAcknowledgements: true, counts: &counts) }
      } catch {
        throw CrashFailure("\(name), seed \(seed), request \(number): \(error)")
      }
    }
    print("figures: \(name): \(runs) runs, \(refusals) operations refused, \(counts.cuts) cuts, 0 lost")
    #expect(runs > 20)
    #expect(refusals > 10)
  }

  @Test(
    "every sync that fails once and then succeeds: nothing of its group is acknowledged, nothing acknowledged is lost (HOSTILE 54)")
  func failedSyncs() throws {
    for seed in UInt64(41)...44 {
      try campaign("failed sync", seed: seed, kinds: [.sync, .syncFolder], lasting: 1, cuts: true, .fail(.failed))
    }
  }

  @Test("every sync of the log that fails, and the second or third after it as well: recoveries follow each other (HOSTILE 54)")
  func failedSyncsAgain() throws {
    for (seed, lasting) in [(UInt64(141), 2), (142, 3)] {
      try campaign("failed syncs in a row", seed: seed, kinds: [.sync], lasting: lasting * 4, cuts: true, .fail(.failed))
    }
  }

  @Test("every write that fails with EIO, whole or cut short (HOSTILE 55)")
  func failedWrites() throws {
    try campaign("failed write", seed: 45, kinds: [.write, .truncate, .create, .rename, .remove], lasting: 1, .fail(.failed))
    try campaign("write cut short", seed: 46, kinds: [.write], lasting: 1, .cutShort(after: 700, .failed))
  }

  @Test("every write at which the disk becomes full for a while (HOSTILE 55)")
  func fullDisk() throws {
    try campaign("full disk, once", seed: 47, kinds: [.write], lasting: 1, .fail(.full))
    try campaign("full disk, for 40 operations", seed: 48, kinds: [.write, .create], lasting: 40, .fail(.full))
  }

  @Test("with a full disk mail is refused as full, deletions go on, and there is room again without a restart (HOSTILE 55)")
  func fullDiskGoesOn() throws {
    let world = SimulatedStore(seed: 5, recording: false)
    try world.executor.run {
      let store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      let account = try await store.addAccount(
        address: EmailAddress(localPart: "a", domain: "example.test"), passwordHash: "", quota: 0,
        created: world.executor.clock.now())
      let inbox = try await store.mailbox("INBOX", of: account.id)
      func append(_ size: Int) async throws -> UID {
        let spool = store.makeSpool()
        defer { spool.discard() }
        try await spool.append(ByteBuffer(repeating: 65, count: size))
        let message = AppendedMessage(flags: Flags(), internalDate: world.executor.clock.now(), summary: MessageSummary())
        return try await store.append(message, body: try await spool.finish(), to: inbox.id)
      }
      var uids: [UID] = []
      for _ in 0..<20 { uids.append(try await append(900)) }
      let used = world.disk.image.names.values.reduce(0) { $0 + (world.disk.image.files[$1]?.count ?? 0) }
      world.disk.setCapacity(used + 8_192)
      var refused = 0
      for size in [900, 900, 900, 9_000, 9_000, 60_000] + Array(repeating: 900, count: 40) {
        do { uids.append(try await append(size)) } catch StoreError.full { refused += 1 }
      }
      #expect(refused > 0)
      #expect(try await store.expunge(Array(uids.prefix(10)), from: inbox.id, force: true).count == 10)
      world.disk.setCapacity(.max)
      await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(10)))
      _ = try await append(9_000)
      #expect(try await store.verify { _ in }.problems.isEmpty)
      await store.close()
    }
  }

  @Test("a flipped bit in an inline body is found on read and quarantines that message alone (HOSTILE 56)")
  func flippedInlineBody() throws {
    let run = try CrashRun.record(seed: 51, .init(sessions: 2, operations: 12))
    let last = try #require(run.recorder.steps[0].last)
    let entry = try #require(last.state.allEntries.first { ($0.size < 900) && run.recorder.bytes(of: $0.body) != nil })
    let bytes = try #require(run.recorder.bytes(of: entry.body))
    // Body and prefix are separate columns; the body's last octets are found in the file as they are.
    let tail = Array(bytes.suffix(100))
    let whole = try Self.checkpointed(run.final)
    #expect(try readsRightOrDamaged(whole, run) == 0)
    let file = try #require(whole["store.db"])
    var found = 0
    let places = file.indices(of: tail)
    for octet in places.flatMap({ $0..<$0 + tail.count }) {
      var image = whole
      var damaged = file
      damaged[octet] ^= 0x10
      image["store.db"] = damaged
      found += try readsRightOrDamaged(image, run)
      if octet % 20 == 0 { try expectQuarantine(image, entry, run) }
    }
    print("figures: bit flips in an inline body: \(found) of \(places.count * tail.count) found")
    #expect(found >= tail.count, "at least one copy is the one that is read")
  }

  /// The damaged message is told as such, twice, with its trace; its neighbours are read.
  private func expectQuarantine(_ image: DiskImage, _ entry: MailboxEntry, _ run: CrashRun) throws {
    let world = SimulatedStore(image, seed: 1, recording: false)
    try world.executor.run {
      let store = try await world.open()
      for _ in 0..<2 {
        do {
          let bytes = try await store.read(entry.body, range: 0..<100_000)
          // A copy on a page that nobody reads.
          #expect(bytes.readableBytesView.elementsEqual(run.recorder.bytes(of: entry.body) ?? []))
          break
        } catch {
          #expect(error as? StoreError == .damaged(entry.body))
        }
      }
      await store.close()
    }
  }

  /// The same store with everything in the database file and nothing in its log.
  static func checkpointed(_ image: DiskImage) throws -> DiskImage {
    let world = SimulatedStore(image, seed: 1, recording: false)
    var handle: OpaquePointer?
    try #require(sqlite3_open_v2("store.db", &handle, SQLITE_OPEN_READWRITE, world.vfs.name) == SQLITE_OK)
    // Only a connection that has read something knows of the log.
    try #require(sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", nil, nil, nil) == SQLITE_OK)
    try #require(sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil) == SQLITE_OK)
    sqlite3_close_v2(handle)
    try #require(world.disk.image["store.db-wal"]?.isEmpty == true)
    return world.disk.image
  }

  @Test("flipped bits anywhere in database and log never trap and never give wrong bytes (HOSTILE 56)")
  func flippedDatabase() throws {
    let run = try CrashRun.record(seed: 52, .init(sessions: 2, operations: 14))
    let random = SeededRandom(seed: 52)
    var damaged = 0
    var closed = 0
    let count = PowerCuts.setting("FLIPS", 400)
    let whole = try Self.checkpointed(run.final)
    for turn in 0..<count {
      var image = turn % 2 == 0 ? whole : run.final
      for _ in 0..<1 + random.next(below: 3) {
        let path = turn % 2 == 1 && random.chance(in: 2) ? "store.db-wal" : "store.db"
        guard var file = image[path], !file.isEmpty else { continue }
        file[Int(random.next(below: UInt64(file.count)))] ^= UInt8(1 << random.next(below: 8))
        image[path] = file
      }
      damaged += try readsRightOrDamaged(image, run, closed: &closed)
    }
    print(
      "figures: bit flips in the database: \(count) images, \(damaged) with something found, \(closed) of which don't open, 0 wrong bytes"
    )
    // Only what is flipped in the header or the schema keeps a store from opening (`FlippedPageTests`).
    #expect(closed < count / 10)
  }

  /// Opens, verifies and reads everything it can; 1 if anything was found to be wrong. Wrong bytes are a failure.
  private func readsRightOrDamaged(_ image: DiskImage, _ run: CrashRun) throws -> Int {
    var closed = 0
    return try readsRightOrDamaged(image, run, closed: &closed)
  }

  private func readsRightOrDamaged(_ image: DiskImage, _ run: CrashRun, closed: inout Int) throws -> Int {
    let world = SimulatedStore(image, seed: 1, recording: false)
    let problems = try problems(of: world, run)
    if problems == nil { closed += 1 }
    return problems == 0 ? 0 : 1
  }

  /// Nil: it does not open.
  private func problems(of world: SimulatedStore, _ run: CrashRun) throws -> Int? {
    try world.executor.run {
      guard let store = try? await world.open() else { return nil }
      var problems = (try? await store.verify { _ in }.problems.count) ?? 1
      for account in run.accounts {
        guard let mailboxes = try? await store.mailboxes(of: account.id) else {
          problems += 1
          continue
        }
        for mailbox in mailboxes {
          for entry in (try? await store.entries(in: mailbox.id, from: UID(rawValue: 1), limit: 1_000)) ?? [] {
            guard let expected = run.recorder.bytes(of: entry.body),
              let bytes = try? await store.read(entry.body, range: 0..<1_000_000)
            else {
              problems += 1
              continue
            }
            if !bytes.readableBytesView.elementsEqual(expected) { throw CrashFailure("body \(entry.body.rawValue): wrong bytes") }
          }
        }
      }
      await store.close()
      return problems
    }
  }
}

extension [UInt8] {
  /// Where `part` begins.
  func indices(of part: [UInt8]) -> [Int] {
    guard let first = part.first, part.count <= count else { return [] }
    return (0...(count - part.count)).filter { self[$0] == first && self[$0..<$0 + part.count].elementsEqual(part) }
  }
}
