import MailModel
import MailStore
import NIOCore
import Outside
import Synchronization

@testable import Delivery

/// A queue in memory that keeps the store's promises, and can be told to fail.
final class FakeQueue: QueueStore {
  struct State {
    var messages: [QueueID: QueuedMessage] = [:]
    var entries: [QueueRecipientID: QueueEntry] = [:]
    var leases: [QueueRecipientID: Timestamp] = [:]
    var bodies: [BodyID: ByteBuffer] = [:]
    var records: [OutcomeRecord] = []
    var durable: Set<QueueRecipientID> = []
    var trace: [QueueID: [TraceEvent]] = [:]
    var reads = 0
    var claims = 0
    var failsToRecord = false
    /// What the last `withdraw` of a test came to.
    var withdrawn: Int?
  }

  let state = Mutex(State())
  private let ids = QueueIDs(clock: Standstill(), random: Standstill())

  func makeQueueID() -> QueueID { ids.next() }

  func add(_ message: QueuedMessage, _ bytes: ByteBuffer) {
    state.withLock { state in
      state.messages[message.id] = message
      state.bodies[message.body] = bytes
      for entry in message.entries { state.entries[entry.id] = entry }
    }
  }

  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer {
    let bytes = state.withLock { state in
      state.reads += 1
      return state.bodies[body]
    }
    guard let bytes else { throw .damaged(body) }
    let range = range.clamped(to: 0..<bytes.readableBytes)
    return bytes.getSlice(at: range.lowerBound, length: range.count) ?? ByteBuffer()
  }

  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    state.withLock { state in
      state.claims += 1
      let due = state.entries.values
        .filter { $0.state != .held && $0.nextAttempt <= now && (state.leases[$0.id] ?? now) <= now }
        .sorted { ($0.nextAttempt, $0.id) < ($1.nextAttempt, $1.id) }
        .prefix(limit)
      var order: [QueueID] = []
      var groups: [QueueID: [QueueEntry]] = [:]
      for entry in due {
        state.leases[entry.id] = leaseEnd
        if groups[entry.message] == nil { order.append(entry.message) }
        groups[entry.message, default: []].append(entry)
      }
      return order.compactMap { id in
        guard var message = state.messages[id] else { return nil }
        message.entries = groups[id] ?? []
        return message
      }
    }
  }

  func nextDue() async throws(StoreError) -> Timestamp? {
    state.withLock { state in
      state.entries.values.filter { $0.state != .held && state.leases[$0.id] == nil }.map(\.nextAttempt).min()
    }
  }

  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    state.withLock { state in
      var count = 0
      for (id, entry) in state.entries where entry.state == .waiting && entry.nextAttempt > now.advanced(by: longest) {
        let late = entry.nextAttempt.since(now).microseconds % max(longest.microseconds, 1)
        state.entries[id]?.nextAttempt = now.advanced(by: .microseconds(late))
        count += 1
      }
      return count
    }
  }

  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    let failed = state.withLock { state in
      guard !state.failsToRecord else { return true }
      for record in outcomes {
        state.records.append(record)
        state.trace[record.message, default: []] += record.trace
        state.leases[record.entry] = nil
        if durability == .durably { state.durable.insert(record.entry) }
        switch record.outcome {
        case .delivered, .deliveredLocally, .permanent: state.entries[record.entry] = nil
        case .transient(let reason, let next):
          state.entries[record.entry]?.attempts += 1
          state.entries[record.entry]?.nextAttempt = next
          state.entries[record.entry]?.lastReply = reason
          if let told = record.delayNotified { state.entries[record.entry]?.delayNotified = told }
        case .skipped(let reason, let next):
          state.entries[record.entry]?.nextAttempt = next
          state.entries[record.entry]?.lastReply = reason
          if let told = record.delayNotified { state.entries[record.entry]?.delayNotified = told }
        case .held(let reason):
          state.entries[record.entry]?.state = .held
          state.entries[record.entry]?.lastReply = reason
        case .returned(let next): state.entries[record.entry]?.nextAttempt = next
        }
      }
      return false
    }
    if failed { throw .unavailable("told to fail") }
  }

  func note(_ id: QueueID, _ events: [TraceEvent]) {
    state.withLock { $0.trace[id, default: []] += events }
  }

  var records: [OutcomeRecord] { state.withLock { $0.records } }
  var left: Int { state.withLock { $0.entries.count } }
}

extension Outcome {
  var isDelivered: Bool { if case .delivered = self { true } else { false } }
  var isTransient: Bool { if case .transient = self { true } else { false } }
  var isSkipped: Bool { if case .skipped = self { true } else { false } }
  var isReturned: Bool { if case .returned = self { true } else { false } }
  var isPermanent: Bool { if case .permanent = self { true } else { false } }
  var reason: String {
    switch self {
    case .delivered(let reply): reply
    case .transient(let reason, _), .skipped(let reason, _), .permanent(let reason), .held(let reason): reason
    case .deliveredLocally, .returned: ""
    }
  }
}

/// Time and chance for ids that only have to differ.
private struct Standstill: Clock, RandomSource {
  func now() -> Timestamp { Timestamp(seconds: 1_700_000_000) }
  func monotonic() -> MonotonicInstant { .never }
  func next() -> UInt64 { 0 }
}
