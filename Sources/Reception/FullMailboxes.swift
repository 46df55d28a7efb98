import Bytes
import InternetMessage
import MailModel
import MailStore
import Outside
import Synchronization

/// Accounts that turned out to be over their quota when a message for several recipients was to be stored.
///
/// SMTP has one reply for all recipients, so such a message is put off once (`452 4.2.2`); when the sender tries again, the full mailbox
/// is refused at its RCPT and the others get theirs. A sender that announces no size can't be refused there as long as anything fits:
/// then what does not fit waits in the queue for that account alone. So nobody waits for another's mailbox more than once.
///
/// Limits: [10,000] accounts are remembered, beyond it the memory starts anew; each for [24 h] after a message last did not fit. Either
/// costs a sender one more try.
public final class FullMailboxes: Sendable {
  private static let maximum = 10_000
  private static let memory = Duration.seconds(86_400)

  private let clock: any Clock
  /// Until when, by account.
  private let accounts = Mutex<[AccountID: MonotonicInstant]>([:])

  public init(clock: any Clock) { self.clock = clock }

  /// A message did not fit. Whether all of them were remembered already.
  public func remember(_ full: Set<AccountID>) -> Bool {
    let now = clock.monotonic()
    return accounts.withLock { accounts in
      let wereKnown = full.allSatisfy { accounts[$0].map { $0 > now } ?? false }
      if accounts.count >= Self.maximum { accounts.removeAll(keepingCapacity: true) }
      for account in full { accounts[account] = now.advanced(by: Self.memory) }
      return wereKnown
    }
  }

  /// Whether `recipient` leads to full mailboxes only: all are remembered, and still are full. The store is asked only then.
  ///
  /// - Parameter size: what the client announced; without it, only a mailbox that can't take another octet counts as full.
  public func isFull(_ recipient: JudgedRecipient, size: Int64?, store: any MailStore) async -> Bool {
    guard !recipient.local.isEmpty, recipient.remote.isEmpty else { return false }
    let now = clock.monotonic()
    let areKnown = accounts.withLock { accounts in
      recipient.local.allSatisfy { target in
        guard let until = accounts[target.account] else { return false }
        if until > now { return true }
        accounts[target.account] = nil
        return false
      }
    }
    guard areKnown else { return false }
    for target in recipient.local {
      guard let usage = try? await store.usage(of: target.account) else { return false }
      guard usage.isOver(adding: max(size ?? 1, 1)) else { return false }
    }
    return true
  }
}

extension Usage {
  /// Whether `octets` more would pass the quota of the account or its domain. Saturates: `octets` is a client's word.
  public func isOver(adding octets: Int64) -> Bool {
    (quota > 0 && self.octets.addedClamped(octets) > quota) || (domainQuota > 0 && domainOctets.addedClamped(octets) > domainQuota)
  }
}

/// What can be stored of a message when some of the mailboxes are full.
public struct ReducedAcceptance: Sendable {
  /// Without the full mailboxes; what a recipient with other targets loses by that waits in the queue.
  public var acceptance: Acceptance
  /// Places of the recipients all of whose targets are full.
  public var refused: [Int]
}

extension Reception {
  /// `acceptance` without copies for the accounts in `full`.
  ///
  /// A member of a list whose mailbox is full does not make the others lose the message, and its own copy does not vanish: it waits in
  /// the queue, and the sender is told if it can't be delivered in time. A recipient that leads to full mailboxes only is refused, or,
  /// if `isQueueing`, waits too.
  public func reduced(
    _ acceptance: Acceptance, of judged: [JudgedRecipient], without full: Set<AccountID>, isQueueing: Bool = false
  ) -> ReducedAcceptance {
    let refused =
      isQueueing
      ? []
      : judged.indices.filter { index in
        let recipient = judged[index]
        return recipient.remote.isEmpty && !recipient.local.isEmpty && recipient.local.allSatisfy { full.contains($0.account) }
      }
    let places = Set(refused)
    let kept = judged.indices.filter { !places.contains($0) }.map { judged[$0] }
    let division = Division(of: kept, full: full, due: acceptance.due)
    var result = acceptance
    result.deliveries = division.deliveries
    result.recipients = division.queued
    // Confirmed is what has a copy in a mailbox now; one that waits is when it gets there.
    let missed = judged.indices.filter { places.contains($0) || judged[$0].local.allSatisfy { full.contains($0.account) } }
    for place in missed { result.confirmations.removeAll { $0.address == judged[place].recipient.address } }
    for target in division.postponed {
      result.trace.append(.full(target.description, .deferred, at: acceptance.received))
    }
    for place in refused {
      result.trace.append(.full(judged[place].recipient.address.description, .refused, at: acceptance.received))
    }
    return ReducedAcceptance(acceptance: result, refused: refused)
  }
}

extension Acceptance {
  /// The copies for `account`, whose mailbox is full, are to wait in the queue. False if there are none.
  public mutating func putOff(_ account: AccountID) -> Bool {
    guard let delivery = deliveries.first(where: { $0.account == account }) else { return false }
    deliveries.removeAll { $0.account == account }
    recipients.append(.atHome(delivery.recipient, delivery.notification, due: due))
    trace.append(.full(delivery.recipient.description, .deferred, at: received))
    return true
  }
}

extension TraceEvent {
  fileprivate static func full(_ recipient: String, _ kind: Kind, at time: Timestamp) -> TraceEvent {
    TraceEvent(time: time, kind: kind, recipient: recipient, detail: [.init("reason", "the mailbox is full")])
  }
}

extension QueuedRecipient {
  /// Waits for a mailbox of this host: aliases have been followed already.
  static func atHome(_ address: EmailAddress, _ notification: NotificationRequest, due: Timestamp) -> QueuedRecipient {
    QueuedRecipient(address: address, notification: notification, destination: QueueEntry.localDestination, due: due)
  }
}
