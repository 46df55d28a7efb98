import Bytes
import Delivery
import Logging
import MailModel
import MailStore
import NIOCore
import Outside

/// The queue as delivery sees it, with a log line for each recipient whose fate is decided: relayed, delivered, deferred, bounced.
///
/// The line holds what the trace holds, with the queue id. It is written once the store has taken the outcome.
struct LoggedQueue: QueueStore {
  let queue: any QueueStore
  let log: Logger

  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    try await queue.record(outcomes, durability)
    for outcome in outcomes { tell(outcome) }
  }

  private func tell(_ record: OutcomeRecord) {
    guard let last = record.trace.last else { return }
    let level: Logger.Level = last.kind == .bounced ? .notice : last.kind == .held ? .error : .info
    guard log.logLevel <= level else { return }
    var metadata: Logger.Metadata = ["id": .string(record.message.description)]
    if let recipient = last.recipient { metadata["to"] = .string(recipient) }
    for event in record.trace {
      for detail in event.detail {
        // The id in a line is that of the message it is about.
        metadata[event.kind == .notified && detail.key != "stage" ? "notification-\(detail.key)" : detail.key] = .string(
          detail.value)
      }
    }
    // The trace has the moment; who reads the log wants to know how long that is. Both are the wall clock's.
    if let next = last.detail.first(where: { $0.key == "next" }).flatMap({ Int64($0.value) }) {
      metadata["next"] = "\(next.subtractedClamped(last.time.seconds))s"
    }
    log.log(level: level, "\(last.kind)", metadata: metadata)
  }

  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer { try await queue.read(body, range: range) }

  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    try await queue.claimDue(now: now, limit: limit, leaseEnd: leaseEnd)
  }

  func nextDue() async throws(StoreError) -> Timestamp? { try await queue.nextDue() }

  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    let count = try await queue.hasten(now: now, longest: longest)
    if count > 0 {
      log.warning("the clock was set back: recipients that were due too late are due sooner", metadata: ["count": "\(count)"])
    }
    return count
  }

  func makeQueueID() -> QueueID { queue.makeQueueID() }

  func note(_ id: QueueID, _ events: [TraceEvent]) { queue.note(id, events) }
}
