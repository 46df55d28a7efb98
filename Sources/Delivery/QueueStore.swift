import MailModel
import MailStore
import NIOCore
import Outside

/// What delivery needs of the store: a few of its operations, with its promises (`MailStore`).
public protocol QueueStore: Sendable {
  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer
  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage]
  func nextDue() async throws(StoreError) -> Timestamp?
  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int
  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError)
  func note(_ id: QueueID, _ events: [TraceEvent])
  func makeQueueID() -> QueueID
}

/// The queue of a whole store.
struct MailStoreQueue: QueueStore {
  let store: any MailStore

  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer { try await store.read(body, range: range) }

  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    try await store.claimDue(now: now, limit: limit, leaseEnd: leaseEnd)
  }

  func nextDue() async throws(StoreError) -> Timestamp? { try await store.nextDue() }

  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    try await store.hasten(now: now, longest: longest)
  }

  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    try await store.record(outcomes, durability)
  }

  func note(_ id: QueueID, _ events: [TraceEvent]) { store.note(id, events) }
  func makeQueueID() -> QueueID { store.makeQueueID() }
}
