import MailModel
import MailStore
import NIOCore
import Outside
import Routing
import SMTP

/// A queued message while any of its recipients is in memory, shared by its jobs.
///
/// Not `Sendable`: it lives on delivery's loop, and goes into tasks there as `Confined`.
final class MessageInHand {
  let message: QueuedMessage
  /// The whole message if it is still in memory.
  var bytes: ByteBuffer?
  /// Jobs that are not over.
  var jobs = 0
  /// What is to be told to the sender, gathered until all jobs are over or `DeliveryTimes.gathering` passed.
  var failed: [Told] = []
  var delayed: [Told] = []
  var succeeded: [Told] = []
  /// Of these the postmaster hears: the message can't be read.
  var damaged: [Told] = []
  var isTimed = false

  /// A recipient that the sender is to hear of.
  struct Told: Sendable {
    var entry: QueueEntry
    var problem: DeliveryProblem?
    /// The reply of the host that took it.
    var reply: String?
    var host: String?
    var stage: ComposedNotification.Stage
    /// When the next attempt is, for a delay.
    var next: Timestamp?
    /// It was not tried: its host was out of reach just before.
    var isSkipped = false
    var trace: [TraceEvent]

    /// What is recorded when it is tried at `next`.
    func postponement(until next: Timestamp) -> Outcome {
      let reason = problem?.text ?? ""
      return isSkipped ? .skipped(reason: reason, next: next) : .transient(reason: reason, next: next)
    }
  }

  init(_ message: QueuedMessage, bytes: ByteBuffer?) {
    self.message = message
    self.bytes = bytes
  }

  var hasNews: Bool { !failed.isEmpty || !delayed.isEmpty || !succeeded.isEmpty || !damaged.isEmpty }
}

/// Recipients of one message that go to one destination together.
///
/// Not `Sendable`: it lives on delivery's loop, and goes into tasks there as `Confined`.
final class Job {
  let id: UInt64
  let hand: MessageInHand
  /// What they were gathered by: a domain or a next hop's name.
  let group: String
  /// At least one; those that have a result leave.
  var entries: [QueueEntry]
  /// The body re-encoded to 7-bit, for a host that takes no other.
  var sevenBit: ByteBuffer?
  /// Octets it takes of `DeliveryLimits.conversionMemory`.
  var conversionOctets = 0
  /// The store says that the message's bytes are damaged.
  var isDamaged = false
  /// Why it could not be re-encoded just now: the transaction begins, and fails for a while at its body.
  var unreadable: StoreError?
  /// What it is in the trace: `route ...`, `mx`.
  var routeDetails: [TraceEvent.Detail] = []

  init(id: UInt64, hand: MessageInHand, group: String, entries: [QueueEntry]) {
    self.id = id
    self.hand = hand
    self.group = group
    self.entries = entries
  }

  var message: QueuedMessage { hand.message }

  /// What a recipient's route is in its trace. Who was rerouted by hand may share a transaction with those whom a route sends there.
  func routeFacts(of entry: QueueEntry) -> [TraceEvent.Detail] {
    guard Router.isNextHop(entry.destination), let first = routeDetails.first, first.key == "route", first.value.hasPrefix("route ")
    else { return routeDetails }
    return [.init("route", "rerouted " + first.value.dropFirst("route ".utf8.count))] + routeDetails.dropFirst()
  }

  /// Takes note of why the message could not be read: damage lasts.
  func note(_ error: StoreError) {
    if case .damaged = error { isDamaged = true }
  }

  var transaction: SMTPClientTransaction {
    var census = message.census
    if sevenBit != nil || unreadable != nil {
      census.hasEightBitBody = false
      census.isBinary = false
    }
    return SMTPClientTransaction(
      id: id, envelope: message.envelope,
      recipients: entries.map { .init(address: $0.address, notification: $0.notification) },
      size: sevenBit?.readableBytes ?? message.size, census: census)
  }
}
