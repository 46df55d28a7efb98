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
      let before = try await store.accept(Make.acceptance(2, queue: ["a@example.org"]), body: Make.body(10), claiming: false)
      await store.close()
      store = try await rig.open()
      let after = try await store.accept(Make.acceptance(3, queue: ["b@example.org"]), body: Make.body(10), claiming: false)
      let numbers = [before, after].compactMap { $0.queued?.entries.first?.id }
      #expect(numbers.count == 2)
      #expect(Set(numbers).count == 2, "\(numbers)")
      let due = try await store.claimDue(now: Timestamp(seconds: 1), limit: 10, leaseEnd: Timestamp(seconds: 100))
      #expect(due.count == 2)
      await store.close()
    }
  }
}
