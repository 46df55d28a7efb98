import InternetMessage
import MailModel
import MailStore
import Synchronization

/// Accounts that turned out to be over their quota when a message for several recipients was to be stored.
///
/// SMTP has one reply for all recipients, so such a message is put off (`452 4.2.2`); when the sender tries again, the full mailbox is
/// refused alone at its RCPT and the others get theirs. Nothing is bounced later to somebody who may never have written.
///
/// Limit: [10,000] accounts are remembered; beyond it the memory starts anew, which costs a sender one more try.
public final class FullMailboxes: Sendable {
  private static let maximum = 10_000
  /// The smallest message that did not fit, by account.
  private let sizes = Mutex<[AccountID: Int64]>([:])

  public init() {}

  /// A message of `size` octets did not fit.
  public func remember(_ account: AccountID, size: Int64) {
    sizes.withLock { sizes in
      if sizes.count >= Self.maximum { sizes.removeAll(keepingCapacity: true) }
      sizes[account] = min(size, sizes[account] ?? .max)
    }
  }

  /// Whether one of `recipient`'s accounts is known to be full and still is, asked of the store only for accounts that are remembered.
  ///
  /// - Parameter size: what the client announced; nil counts as the size that did not fit.
  public func isFull(_ recipient: JudgedRecipient, size: Int64?, store: any MailStore) async -> Bool {
    for target in recipient.local {
      guard let known = sizes.withLock({ $0[target.account] }) else { continue }
      guard let usage = try? await store.usage(of: target.account) else { continue }
      let needed = size ?? known
      let isOver =
        (usage.quota > 0 && usage.octets + needed > usage.quota)
        || (usage.domainQuota > 0 && usage.domainOctets + needed > usage.domainQuota)
      if isOver { return true }
      sizes.withLock { $0[target.account] = nil }
    }
    return false
  }
}

extension Reception {
  /// `acceptance` without the copies for `account`, and the places in `judged` of recipients that then get nothing. Nil: nothing is left.
  public func without(
    _ account: AccountID, in acceptance: Acceptance, of judged: [JudgedRecipient]
  ) -> (acceptance: Acceptance, refused: [Int])? {
    var reduced = acceptance
    reduced.deliveries.removeAll { $0.account == account }
    guard reduced.deliveries.count < acceptance.deliveries.count, !(reduced.deliveries.isEmpty && reduced.recipients.isEmpty) else {
      return nil
    }
    let left = Set(reduced.deliveries.map(\.account))
    let refused = judged.indices.filter { index in
      judged[index].remote.isEmpty && !judged[index].local.contains { left.contains($0.account) }
    }
    for index in refused {
      reduced.confirmations.removeAll { $0.address == judged[index].recipient.address }
    }
    return (reduced, refused)
  }
}
