import MailModel
import MartletSimulation
import Outside
import Synchronization
import Testing

@testable import MailStore

@Suite("Numbers that outlive a refused commit")
struct FullDiskNumbersTests {
  @Test("numbers taken in a transaction that the disk had no room for are not given again after the next start")
  func refusedCommit() throws {
    let rig = SimulatedStore()
    try rig.executor.run {
      var store = try await rig.open()
      rig.disk.setFaults { $0.kind == .write && $0.path == "store.db-wal" ? .fail(.full) : nil }
      await #expect(throws: StoreError.full) {
        try await store.accept(Make.acceptance(1, queue: ["a@example.org"]), body: Make.body(10), claiming: false)
      }
      rig.disk.setFaults(nil)
      await rig.executor.sleep(until: rig.executor.clock.monotonic().advanced(by: .seconds(10)))
      var numbers: [QueueRecipientID] = []
      for number in UInt64(2)...9 {
        if number == 6 {
          await store.close()
          store = try await rig.open()
        }
        let receipt = try await store.accept(
          Make.acceptance(number, queue: ["a@example.org"]), body: Make.body(10), claiming: false)
        numbers += receipt.queued?.entries.map(\.id) ?? []
      }
      #expect(numbers.count == 8)
      #expect(Set(numbers).count == 8, "\(numbers)")
      let due = try await store.claimDue(now: Timestamp(seconds: 1), limit: 10, leaseEnd: Timestamp(seconds: 100))
      #expect(due.count == 8)
      await store.close()
    }
  }
}
