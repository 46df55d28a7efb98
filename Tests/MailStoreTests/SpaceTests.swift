import MailModel
import MartletSimulation
import Outside
import Testing

@testable import MailStore

/// Space comes back by itself: dead segments, half dead ones, and what an earlier run left.
@Suite("Space")
struct SpaceTests {
  private func segments(_ rig: SimulatedStore) -> Int { rig.disk.image.names.keys.count { $0.hasPrefix("bodies/") } }

  private func relay(_ count: Int, from first: UInt64, _ store: SQLiteStore) async throws {
    for number in 0..<UInt64(count) {
      let receipt = try await store.accept(
        Make.acceptance(first + number, queue: ["a@example.org"]), body: Make.body(20_000), claiming: true)
      let queued = try #require(receipt.queued)
      try await store.record(
        [OutcomeRecord(entry: queued.entries[0].id, message: queued.id, outcome: .delivered(reply: "250 ok"), trace: [])], .durably)
    }
  }

  @Test("large relayed mail leaves no more than a few segments, without anybody asking")
  func relayed() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      for turn in 0..<UInt64(10) {
        try await relay(12, from: turn * 100, store)
        await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(5)))
        #expect(segments(rig) <= 8, "after \(turn + 1) turns")
      }
      #expect(try await store.verify { _ in }.problems == [])
      await store.close()
    }
  }

  @Test("segments without a live body that an earlier run left go at the next start")
  func leftovers() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      var store = try await rig.open()
      for number in 1...12 {
        _ = try await store.accept(
          Make.acceptance(UInt64(number), queue: ["a@example.org"]), body: Make.body(20_000), claiming: false)
      }
      _ = try await store.act(.remove, on: QueueSelection(), now: Timestamp(seconds: 1), after: nil)
      await store.close()
      #expect(segments(rig) >= 4)
      store = try await rig.open()
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(5)))
      #expect(segments(rig) <= 2)
      await store.close()
    }
  }

  @Test("half dead segments are emptied in the background, and every body is read")
  func halfDead() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      let store = try await rig.open()
      for number in 1...30 {
        _ = try await store.accept(
          Make.acceptance(UInt64(number), queue: ["a@example.org"]), body: Make.body(20_000), claiming: false)
      }
      let before = segments(rig)
      let gone = (1...30).filter { $0 % 3 != 0 }.map { Make.id(UInt64($0)) }
      _ = try await store.act(.remove, on: QueueSelection(ids: gone), now: Timestamp(seconds: 1), after: nil)
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(30)))
      #expect(segments(rig) <= before / 2 + 2)
      let left = try await store.queue(matching: QueueSelection(), after: nil, limit: 100)
      #expect(left.count == 10)
      for message in left { #expect(try await store.all(message.body).count == 20_200) }
      await store.close()
    }
  }

  @Test("on a disk too small for twice the reserve the full state ends when there is room again")
  func smallDisk() throws {
    var rig = SimulatedStore()
    rig.limits.ballast = 268_435_456
    rig.disk.setCapacity(24_000_000)
    try rig.executor.run { [rig] in
      let store = try await rig.open()
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(1)))
      let used = rig.disk.image.names.values.reduce(0) { $0 + (rig.disk.image.files[$1]?.count ?? 0) }
      rig.disk.setCapacity(used)
      var error: StoreError?
      var number: UInt64 = 0
      while error == nil, number < 500 {
        number += 1
        do throws(StoreError) {
          _ = try await store.accept(Make.acceptance(number, queue: ["a@example.org"]), body: Make.body(1_500), claiming: false)
        } catch let refusal { error = refusal }
      }
      #expect(error == .full)
      #expect(store.condition.state == "full")
      rig.disk.setCapacity(24_000_000)
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(10)))
      #expect(store.condition.state == "ok")
      _ = try await store.accept(Make.acceptance(900, queue: ["a@example.org"]), body: Make.body(1_500), claiming: false)
      await store.close()
    }
  }
}
