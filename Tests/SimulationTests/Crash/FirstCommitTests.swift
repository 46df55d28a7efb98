import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MailStore

/// The commits that have no commit of the same opening before them: the first after a start, and the first after a recovery.
@Suite("The first commits after opening", .serialized)
struct FirstCommitTests {
  /// What was told: how many operations the disk had done when a message was acknowledged, its UID and its bytes.
  private struct Told: Sendable {
    var ack: Int
    var uid: UID
    var bytes: [UInt8]
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
  }

  private static func append(_ number: Int, to inbox: MailboxID, _ store: SQLiteStore, _ world: SimulatedStore) async throws -> Told
  {
    let bytes = CrashBody.bytes(300, seed: UInt64(number))
    let spool = store.makeSpool()
    defer { spool.discard() }
    try await spool.append(ByteBuffer(bytes: bytes))
    let message = AppendedMessage(flags: Flags(), internalDate: world.executor.clock.now(), summary: MessageSummary())
    let uid = try await store.append(message, body: try await spool.finish(), to: inbox)
    return Told(ack: world.disk.position, uid: uid, bytes: bytes)
  }

  /// Three messages, closed, opened again; then twelve more while the syncs of the log in `turns` fail once each. What was told.
  private func run(_ world: SimulatedStore, failing turns: Set<Int>) throws -> (told: [Told], refused: Int) {
    try world.executor.run {
      var store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      let account = try await store.addAccount(
        address: EmailAddress(localPart: "a", domain: "example.test"), passwordHash: "", quota: 0,
        created: world.executor.clock.now())
      let inbox = try await store.mailbox("INBOX", of: account.id).id
      var told: [Told] = []
      for number in 0..<3 { told.append(try await Self.append(number, to: inbox, store, world)) }
      await store.close()
      store = try await world.open()
      let counter = Counter()
      world.disk.setFaults { request in
        guard request.kind == .sync, request.path == "store.db-wal" else { return nil }
        return turns.contains(counter.next()) ? .fail(.failed) : nil
      }
      var refused = 0
      for number in 3..<15 {
        do {
          told.append(try await Self.append(number, to: inbox, store, world))
        } catch {
          refused += 1
          await world.executor.sleep(until: world.executor.clock.monotonic().advanced(by: .seconds(3)))
        }
      }
      world.disk.setFaults(nil)
      await store.close()
      return (told, refused)
    }
  }

  private func check(_ image: DiskImage, _ told: [Told], seed: UInt64) throws {
    let world = SimulatedStore(image, seed: seed, recording: false)
    try world.executor.run {
      let store = try await world.open()
      let account = try await store.account(EmailAddress(localPart: "a", domain: "example.test"))
      let inbox = try await store.mailbox("INBOX", of: account.id).id
      let found = try await store.entries(in: inbox, from: UID(rawValue: 1), limit: 1_000)
      let bodies = Dictionary(found.map { ($0.uid, $0.body) }) { first, _ in first }
      for message in told {
        guard let body = bodies[message.uid] else { throw CrashFailure("UID \(message.uid.rawValue) was acknowledged and is lost") }
        let bytes = try await store.read(body, range: 0..<1_000)
        guard bytes.readableBytesView.elementsEqual(message.bytes) else {
          throw CrashFailure("UID \(message.uid.rawValue): wrong bytes")
        }
      }
      await store.close()
    }
  }

  @Test(
    "syncs of the log that fail at the first commit after opening or after a recovery leave no hole in it (HOSTILE 54)",
    arguments: [[1], [2], [1, 2], [1, 3], [2, 3], [1, 4], [1, 2, 3], [1, 3, 5]] as [Set<Int>])
  func noHole(turns: Set<Int>) throws {
    var cuts = 0
    var refusals = 0
    for seed in UInt64(1)...4 {
      let world = SimulatedStore(seed: seed, recording: true)
      let (told, refused) = try run(world, failing: turns)
      refusals += refused
      let first = told.first?.ack ?? 0
      var sweep = PowerCutSweep(base: world.disk.base, operations: world.disk.recording, seed: seed)
      while !sweep.isAtEnd {
        sweep.advance()
        let known = told.filter { $0.ack <= sweep.position }
        guard sweep.position >= first, known.last?.ack == sweep.position || sweep.last?.isSync == true else { continue }
        for survival in Survival.allCases where survival == .kept || sweep.hasUnsynced {
          cuts += 1
          do { try check(sweep.image(survival), known, seed: seed) } catch {
            throw CrashFailure("syncs \(turns.sorted()), seed \(seed), cut \(sweep.position), \(survival): \(error)")
          }
        }
      }
    }
    #expect(refusals > 0)
    #expect(cuts > 100)
  }

  @Test("the last commit of a log is found as SQLite finds it, whatever stands behind it")
  func scan() throws {
    let world = SimulatedStore(seed: 7, recording: true)
    _ = try run(world, failing: [])
    let log = try #require(world.disk.image["store.db-wal"])
    func end(_ bytes: [UInt8]) -> LogScan.End? {
      LogScan.lastCommit { offset, count in
        let start = Int(offset)
        return start + count <= bytes.count ? Array(bytes[start..<start + count]) : nil
      }
    }
    let whole = try #require(end(log))
    #expect(whole.frames > 0)
    #expect(end(log + [1, 2, 3]) == whole)
    #expect(end([]) == nil)
    #expect(end(Array(log.prefix(31))) == nil)
    // A damaged frame ends it at an earlier commit, or at none.
    var damaged = log
    damaged[32 + 24 + 100] ^= 1
    #expect(end(damaged) == nil)
    damaged = log
    damaged[20] ^= 1
    #expect(end(damaged) == nil)
  }
}
