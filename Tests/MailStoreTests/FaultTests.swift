import InternetMessage
import MailModel
import MartletSimulation
import NIOCore
import Outside
import Testing

@testable import MailStore

/// A store on a simulated disk, in virtual time, on one thread.
struct SimulatedStore {
  let disk: FaultyDisk
  let executor = SimulatedExecutor(seed: 1)
  let clock = VirtualClock()
  let vfs: RecordingVFS
  var limits = StoreLimits()

  init(_ image: DiskImage = DiskImage()) {
    disk = FaultyDisk(image)
    vfs = RecordingVFS(disk: disk, clock: clock, random: SeededRandom(3))
    limits.ballast = 65_536
    limits.checkpointPages = 30
    limits.restartPages = 90
    limits.inlineBody = 2_000
  }

  func open() async throws(StoreError) -> SQLiteStore {
    var options = SQLiteStore.Options(database: "store.db", lock: nil, vfs: vfs.name)
    options.limits = limits
    options.segments.segmentSize = 65_536
    return try await SQLiteStore.open(options, in: .init(disk: disk, clock: clock, random: SeededRandom(9), workers: executor))
  }
}

@Suite("The store on a failing disk")
struct FaultTests {
  private enum Step: Sendable, Equatable { case stored(UInt64), refused(UInt64, StoreError) }

  /// Accepts forty messages, some of them large; what each was answered.
  private static func script(_ store: SQLiteStore, _ account: Account, _ executor: SimulatedExecutor) async -> [Step] {
    var steps: [Step] = []
    for number in 1...40 {
      let id = UInt64(number)
      let acceptance = Make.acceptance(id, to: [Make.delivery(account)], queue: number % 4 == 0 ? ["q@example.org"] : [])
      do {
        _ = try await store.accept(acceptance, body: Make.body(number % 5 == 0 ? 9_000 : 300), claiming: false)
        steps.append(.stored(id))
      } catch {
        steps.append(.refused(id, error))
        await executor.sleep(until: executor.clock.monotonic().advanced(by: .seconds(3)))
      }
    }
    return steps
  }

  /// What is there must be what was acknowledged, and whole messages that were not at most.
  private static func check(_ image: DiskImage, _ steps: [Step]) throws -> [String] {
    let rig = SimulatedStore(image)
    return try rig.executor.run {
      let store = try await rig.open()
      var wrong = try await store.verify { _ in }.problems.map(\.what)
      let account = try await store.account(Make.address("a@example.test"))
      let inbox = try await store.mailbox("INBOX", of: account.id)
      var found: Set<UInt64> = []
      for entry in try await store.entries(in: inbox.id, from: UID(rawValue: 1), limit: 1_000) {
        found.insert(UInt64(entry.emailID) &- Make.id(0).rawValue)
        if try await store.all(entry.body).count != entry.size - entry.deliveryPrefix.count { wrong.append("a body is cut") }
      }
      for case .stored(let id) in steps where !found.contains(id) { wrong.append("message \(id) is lost") }
      await store.close()
      return wrong
    }
  }

  private func run(_ plan: @escaping FaultyDisk.FaultPlan) throws -> (steps: [Step], wrong: [String]) {
    let rig = SimulatedStore()
    let steps = try rig.executor.run {
      let store = try await rig.open()
      let account = try await store.makeAccount("a@example.test")
      rig.disk.setFaults(plan)
      let steps = await Self.script(store, account, rig.executor)
      rig.disk.setFaults(nil)
      await store.close()
      return steps
    }
    return (steps, try Self.check(rig.disk.image, steps))
  }

  @Test("one failure of any kind at any moment loses nothing, and the store goes on")
  func everyFailure() throws {
    let counting = SimulatedStore()
    let (first, last) = try counting.executor.run {
      let store = try await counting.open()
      let account = try await store.makeAccount("a@example.test")
      let first = counting.disk.requests
      _ = await Self.script(store, account, counting.executor)
      let last = counting.disk.requests
      await store.close()
      return (first, last)
    }
    var refused = 0
    for number in stride(from: first, to: last, by: 3) {
      let (steps, wrong) = try run { $0.number == number ? .fail(.failed) : nil }
      #expect(wrong == [], "failure at \(number)")
      refused += steps.count { if case .refused = $0 { true } else { false } }
      // After one failure and a while, the last messages are taken again.
      #expect(
        steps.suffix(1).allSatisfy { if case .stored = $0 { true } else { false } } || number > last - 60, "failure at \(number)")
    }
    #expect(refused > 20)
  }

  @Test("a failed sync is told to everyone in its group, and its messages are not found later as holes")
  func failedSync() throws {
    let (steps, wrong) = try run { request in
      request.kind == .sync && request.path.hasSuffix("-wal") && request.number % 7 == 0 ? .fail(.failed) : nil
    }
    #expect(wrong == [])
    #expect(steps.contains { if case .refused(_, .unavailable) = $0 { true } else { false } })
    #expect(steps.contains { if case .stored = $0 { true } else { false } })
  }

  @Test("a full disk refuses mail, lets deletions go on, and takes mail again when there is room")
  func fullDisk() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      let account = try await store.makeAccount("a@example.test")
      let inbox = try await store.mailbox("INBOX", of: account.id)
      rig.disk.setCapacity(1_500_000)
      var number: UInt64 = 0
      var error: StoreError?
      while error == nil, number < 2_000 {
        number += 1
        do {
          _ = try await store.accept(Make.acceptance(number, to: [Make.delivery(account)]), body: Make.body(1_500), claiming: false)
        } catch let refusal as StoreError {
          error = refusal
        }
      }
      #expect(error == .full)
      #expect(try await !store.expunge([UID(rawValue: 1), UID(rawValue: 2)], from: inbox.id, force: true).isEmpty)
      await #expect(throws: StoreError.full) {
        try await store.accept(Make.acceptance(5_000, to: [Make.delivery(account)]), body: Make.body(10), claiming: false)
      }
      rig.disk.setCapacity(.max)
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(10)))
      _ = try await store.accept(Make.acceptance(5_000, to: [Make.delivery(account)]), body: Make.body(10), claiming: false)
      #expect(try await store.verify { _ in }.problems == [])
      await store.close()
    }
  }

  @Test("a flipped bit in a body is found on reading, and harms no neighbour")
  func flippedBit() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      let account = try await store.makeAccount("a@example.test")
      for number in 1...2 {
        _ = try await store.accept(
          Make.acceptance(UInt64(number), to: [Make.delivery(account)]), body: Make.body(9_000), claiming: false)
      }
      let inbox = try await store.mailbox("INBOX", of: account.id)
      let entries = try await store.entries(in: inbox.id, from: UID(rawValue: 1), limit: 10)
      rig.disk.setReads { path, offset, bytes in
        guard path.hasPrefix("bodies/"), offset < 5_000, bytes.count > 4_000 else { return bytes }
        var changed = bytes
        changed[4_000] ^= 1
        return changed
      }
      await #expect(throws: StoreError.damaged(entries[0].body)) { try await store.all(entries[0].body) }
      rig.disk.setReads(nil)
      #expect(try await store.all(entries[1].body).count == 9_200)
      #expect(try await store.trace(of: Make.id(1)).map(\.kind).contains(.quarantined))
      await store.close()
    }
  }
}
