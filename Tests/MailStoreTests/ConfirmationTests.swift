import InternetMessage
import MailModel
import NIOCore
import Outside
import Testing

@testable import MailStore

@Suite("What is owed to senders")
struct ConfirmationTests {
  @Test("a confirmation is a queue entry of the same transaction, leased or due at once, and outlives the process")
  func durable() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let account = try await store.makeAccount("a@x.org")
    var acceptance = Make.acceptance(1, to: [Make.delivery(account)])
    acceptance.confirmations = [
      QueuedRecipient(
        address: account.address, notification: .init(notify: .success), destination: QueuedRecipient.confirmation,
        due: Timestamp(seconds: 0))
    ]
    let receipt = try await store.accept(acceptance, body: Make.body(9), claiming: true)
    #expect(receipt.deliveries.count == 1)
    #expect(receipt.queued?.entries.map(\.destination) == [QueuedRecipient.confirmation])
    #expect(receipt.queued?.entries.map(\.state) == [.claimed])
    await store.close()
    let again = try await home.openSQLite()
    let due = try await again.claimDue(
      now: Timestamp(seconds: 1_800_000_000), limit: 10, leaseEnd: Timestamp(seconds: 1_800_000_100))
    #expect(due.map(\.id) == [acceptance.id])
    #expect(due.first?.entries.map(\.notification.notify) == [.success])
    await again.close()
  }

  @Test("a notification may put a mailbox over its quota by its grace, and mail may not")
  func grace() async throws {
    let home = try StoreUnderTest()
    defer { withExtendedLifetime(home) {} }
    let store = try await home.openSQLite()
    let account = try await store.makeAccount("a@x.org", quota: 1_000)
    func accept(_ number: UInt64, size: Int, grace: Int64) async throws {
      var delivery = Make.delivery(account)
      delivery.quotaGrace = grace
      _ = try await store.accept(Make.acceptance(number, to: [delivery]), body: Make.body(size), claiming: false)
    }
    await #expect(throws: StoreError.overQuota(account.id)) { try await accept(1, size: 1_000, grace: 0) }
    try await accept(2, size: 1_000, grace: 1_000)
    await #expect(throws: StoreError.overQuota(account.id)) { try await accept(3, size: 1_000, grace: 1_000) }
    try await accept(4, size: 1_000, grace: .max)
    await store.close()
  }
}
