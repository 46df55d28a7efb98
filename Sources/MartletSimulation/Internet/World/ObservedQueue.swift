import Delivery
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// The queue as delivery sees it, watched: what was claimed and what was handed over. The seam at which faults are planted.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class ObservedQueue: QueueStore, @unchecked Sendable {
  private let queue: any QueueStore
  private let server: SimulatedServer
  private let life: Int
  private let world: World
  /// When each recipient in delivery's hands was due.
  private var due: [QueueRecipientID: (at: MonotonicInstant, destination: String, address: String)] = [:]
  /// What a planted fault has done already.
  private var planted = 0

  init(_ queue: any QueueStore, server: SimulatedServer, life: Int, world: World) {
    self.queue = queue
    self.server = server
    self.life = life
    self.world = world
  }

  private var isAlive: Bool { server.host.life == life }
  private var plant: Plant? { server.isPlanted ? world.scenario.plant : nil }

  /// Recipients in hand for longer than they may be, once the run looks.
  func waiting() -> [(entry: Int64, destination: String, at: MonotonicInstant)] {
    due.map { ($0.key.rawValue, $0.value.destination, $0.value.at) }.sorted { $0.0 < $1.0 }
  }

  /// A message that goes out at once, without being claimed.
  func submitted(_ message: QueuedMessage) {
    guard isAlive else { return }
    took(message)
    // What it holds is looked at when it has got more.
    world.executor.wake(at: world.now) { [server, world] in MemoryBudget.look(at: server, in: world) }
  }

  private func took(_ message: QueuedMessage) {
    for entry in message.entries where due[entry.id] == nil {
      due[entry.id] = (world.now, entry.destination, "\(entry.address.localPart)@\(entry.address.domain)")
    }
  }

  func claimDue(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    var messages = try await claim(now: now, limit: limit, leaseEnd: leaseEnd)
    guard isAlive else { return messages }
    try await checkOrder(of: messages, limit: limit)
    for message in messages { took(message) }
    switch plant {
    case .starvedDestination:
      for index in messages.indices { messages[index].entries.removeAll { $0.destination == world.starved } }
      messages.removeAll { $0.entries.isEmpty }
    case .doubleDelivery:
      if let first = messages.first(where: { $0.entries.contains { $0.destination.hasPrefix("h") } }) {
        planted += 1
        var again = first
        for index in again.entries.indices {
          again.entries[index].id = QueueRecipientID(rawValue: -Int64(planted) * 100 - Int64(index))
        }
        messages.append(again)
      }
    case .answeredNullPath:
      for index in messages.indices where messages[index].envelope.reversePath == nil {
        messages[index].envelope.reversePath = EmailAddress(localPart: "u0", domain: server.domain)
      }
    default: break
    }
    return messages
  }

  /// With a planted fault, the last that are due instead of the first.
  private func claim(now: Timestamp, limit: Int, leaseEnd: Timestamp) async throws(StoreError) -> [QueuedMessage] {
    guard isAlive, plant == .reversedClaims else {
      return try await queue.claimDue(now: now, limit: limit, leaseEnd: leaseEnd)
    }
    var messages = try await queue.claimDue(now: now, limit: 1_000, leaseEnd: leaseEnd)
    let all = messages.flatMap(\.entries).sorted { $0.nextAttempt > $1.nextAttempt }
    let chosen = Set(all.prefix(limit).map(\.id))
    let others = all.dropFirst(limit).map {
      OutcomeRecord(entry: $0.id, message: $0.message, outcome: .returned(next: $0.nextAttempt))
    }
    if !others.isEmpty { try await queue.record(others, .lazily) }
    for index in messages.indices { messages[index].entries.removeAll { !chosen.contains($0.id) } }
    return messages.filter { !$0.entries.isEmpty }.reversed()
  }

  /// A claim that brought all there was leaves nothing behind.
  private func checkOrder(of messages: [QueuedMessage], limit: Int) async throws(StoreError) {
    let claimed = messages.flatMap(\.entries)
    var left: [QueueEntry] = []
    if claimed.count >= limit, let store = server.store {
      left = try await store.queue(matching: QueueSelection(), after: nil, limit: 1_000).flatMap(\.entries)
    }
    guard isAlive, let fault = DueOrder.fault(of: claimed, left: left) else { return }
    world.history.broken(DueOrder.name, "\(server.name): \(fault)")
  }

  func record(_ outcomes: [OutcomeRecord], _ durability: RecordDurability) async throws(StoreError) {
    if isAlive {
      for outcome in outcomes { note(outcome) }
      MemoryBudget.look(at: server, in: world)
    }
    var outcomes = outcomes
    switch plant {
    case .lostAcknowledgement:
      outcomes.removeAll { record in
        guard case .delivered(let reply) = record.outcome, reply.contains("queued as h") else { return false }
        planted += 1
        return planted % 3 == 1
      }
    case .missingTraceEvent:
      for index in outcomes.indices {
        if case .delivered = outcomes[index].outcome {
          planted += 1
          if planted % 3 == 1 { outcomes[index].trace = [] }
        }
      }
    case .retryStorm:
      for index in outcomes.indices {
        if case .transient(let reason, _) = outcomes[index].outcome, planted < 200 {
          planted += 1
          outcomes[index].outcome = .transient(reason: reason, next: server.schedule.schedule().advanced(by: .seconds(2)))
        }
      }
    default: break
    }
    if outcomes.isEmpty { return }
    try await queue.record(outcomes, durability)
  }

  private func note(_ record: OutcomeRecord) {
    let known = due.removeValue(forKey: record.entry)
    let kind: History.Handed.Kind
    var reply = ""
    switch record.outcome {
    case .delivered(let text): (kind, reply) = (.delivered, text)
    case .deliveredLocally: kind = .local
    case .transient(let reason, _): (kind, reply) = (.transient, reason)
    case .skipped: kind = .skipped
    case .permanent(let reason): (kind, reply) = (.permanent, reason)
    case .held(let reason): (kind, reply) = (.held, reason)
    case .returned: kind = .returned
    }
    if reply.contains("ailbox is full") { world.counts.note(.fullMailbox) }
    let now = world.now
    world.history.add(
      .init(
        server: server.name, life: life, entry: record.entry.rawValue, message: "\(record.message)", address: known?.address ?? "",
        destination: known?.destination ?? "", kind: kind, reply: reply, at: now))
    if let known { world.history.waited(server.name, known.destination, record.entry.rawValue, from: known.at, until: now) }
  }

  func read(_ body: BodyID, range: Range<Int>) async throws(StoreError) -> ByteBuffer { try await queue.read(body, range: range) }

  func nextDue() async throws(StoreError) -> Timestamp? { try await queue.nextDue() }

  func hasten(now: Timestamp, longest: Duration) async throws(StoreError) -> Int {
    try await queue.hasten(now: now, longest: longest)
  }

  func makeQueueID() -> QueueID { queue.makeQueueID() }

  func note(_ id: QueueID, _ events: [TraceEvent]) { queue.note(id, events) }
}
