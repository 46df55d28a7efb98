import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

extension RandomOperations {
  mutating func claim() async throws -> [String] {
    now += Int64(pick(60))
    let due = model.queue.flatMap { id, list in list.map { (id, $0) } }.filter {
      $0.1.state == .waiting && $0.1.due <= now * 1_000_000
    }
    let limit = 1 + pick(3)
    let claimed = try await store.claimDue(
      now: Timestamp(seconds: now), limit: limit, leaseEnd: Timestamp(seconds: 4_000_000_000))
    let got = claimed.flatMap(\.entries)
    for entry in got { update(entry.message, entry.id) { $0.state = .claimed } }
    guard got.count == min(limit, due.count) else { return ["claimed \(got.count) of \(due.count)"] }
    let latest = got.map(\.nextAttempt.microseconds).max() ?? 0
    let left = due.filter { one in !got.contains { $0.id == one.1.id } }.map(\.1.due).min() ?? .max
    return latest <= left ? [] : ["claimed out of due order"]
  }

  /// A clock that was ahead when recipients were put off, and is set right.
  mutating func hasten() async throws -> [String] {
    let longest = Int64(1 + pick(50)) * 1_000_000
    let start = now * 1_000_000
    var late = 0
    for (id, list) in model.queue {
      for one in list where one.state == .waiting && one.due > start + longest {
        late += 1
        update(id, one.id) { $0.due = start + ($0.due - start) % longest }
      }
    }
    var count = 0
    while true {
      let some = try await store.hasten(now: Timestamp(microseconds: start), longest: .microseconds(longest))
      count += some
      if some == 0 { break }
    }
    return count == late ? [] : ["hastened \(count) of \(late)"]
  }

  private mutating func update(_ message: QueueID, _ id: QueueRecipientID, _ change: (inout StoreModel.Recipient) -> Void) {
    guard let index = model.queue[message]?.firstIndex(where: { $0.id == id }) else { return }
    if var recipient = model.queue[message]?[index] {
      change(&recipient)
      model.queue[message]?[index] = recipient
    }
  }

  private mutating func remove(_ message: QueueID, _ id: QueueRecipientID) {
    model.queue[message]?.removeAll { $0.id == id }
    if model.queue[message]?.isEmpty ?? false { model.queue[message] = nil }
  }

  mutating func record() async throws -> [String] {
    let leased = model.queue.flatMap { id, list in list.filter { $0.state == .claimed }.map { (id, $0) } }.sorted {
      $0.1.id < $1.1.id
    }
    guard !leased.isEmpty else { return [] }
    var records: [OutcomeRecord] = []
    for (message, recipient) in leased where pick(2) == 0 {
      let next = Timestamp(seconds: now + Int64(pick(100)))
      switch pick(6) {
      case 5:
        records.append(.init(entry: recipient.id, message: message, outcome: .skipped(reason: "451 just failed", next: next)))
        update(message, recipient.id) {
          $0.state = .waiting
          $0.due = next.microseconds
        }
      case 4:
        records.append(.init(entry: recipient.id, message: message, outcome: .held(reason: "451 damaged")))
        update(message, recipient.id) {
          $0.state = .held
          $0.attempts += 1
        }
      case 0, 1:
        records.append(.init(entry: recipient.id, message: message, outcome: .delivered(reply: "250")))
        remove(message, recipient.id)
      case 2:
        records.append(.init(entry: recipient.id, message: message, outcome: .transient(reason: "451", next: next)))
        update(message, recipient.id) {
          $0.state = .waiting
          $0.attempts += 1
          $0.due = next.microseconds
        }
      default:
        records.append(.init(entry: recipient.id, message: message, outcome: .returned(next: next)))
        update(message, recipient.id) {
          $0.state = .waiting
          $0.due = next.microseconds
        }
      }
    }
    try await store.record(records, pick(2) == 0 ? .lazily : .durably)
    return []
  }

  mutating func act() async throws -> [String] {
    // Leased recipients are left to a test of their own.
    let free = model.queue.filter { $0.value.allSatisfy { $0.state != .claimed } }.keys.sorted()
    guard !free.isEmpty else { return [] }
    let id = free[pick(free.count)]
    let action: QueueAction = [.hold, .release, .retry, .remove, .reroute(nextHop: "smtp://127.0.0.1:9")][pick(5)]
    let count = try await store.act(action, on: QueueSelection(ids: [id]), now: Timestamp(seconds: now), after: nil).count
    let recipients = model.queue[id] ?? []
    let due = now * 1_000_000
    var touched = 0
    for recipient in recipients {
      switch (action, recipient.state) {
      case (.hold, .held), (.retry, .held), (.release, .waiting): break
      default: touched += 1
      }
      switch action {
      case .hold: update(id, recipient.id) { $0.state = .held }
      case .release where recipient.state == .held, .retry where recipient.state == .waiting:
        update(id, recipient.id) {
          $0.state = .waiting
          $0.due = due
        }
      case .reroute where recipient.state == .waiting: update(id, recipient.id) { $0.due = due }
      case .remove: remove(id, recipient.id)
      default: break
      }
    }
    return count == touched ? [] : ["acted on \(count) instead of \(touched) of \(recipients.count)"]
  }
}
