import InternetMessage
import MailModel
import Outside

/// Where the copies of a message go: each mailbox and each address once, however many recipients lead to them. Pure.
struct Division {
  /// Into mailboxes here; the first recipient that leads to an account decides the address it is traced under.
  private(set) var deliveries: [LocalDelivery] = []
  private(set) var queued: [QueuedRecipient] = []
  /// Members whose mailbox is full, among those queued.
  private(set) var postponed: [EmailAddress] = []
  /// Recipients of their own whose mailbox or address another recipient before them leads to.
  private(set) var merged: [Merged] = []

  struct Merged {
    var recipient: EmailAddress
    /// The address that the copy is traced under.
    var into: EmailAddress
  }

  private let due: Timestamp
  private var seen = Targets()

  /// - Parameters:
  ///   - full: accounts that can't take it: their copies wait in the queue.
  ///   - due: when what is queued may leave.
  init(of recipients: [JudgedRecipient], full: Set<AccountID> = [], due: Timestamp) {
    self.due = due
    for judged in recipients {
      for target in judged.local {
        guard seen.insert(target.account) else {
          if !judged.isExpanded { merge(judged, target.account) }
          continue
        }
        if full.contains(target.account) {
          postponed.append(target.address)
          queued.append(.atHome(target.address, Self.notification(of: judged, for: target.address), due: due))
        } else {
          deliveries.append(
            LocalDelivery(account: target.account, recipient: target.address, notification: judged.recipient.notification))
        }
      }
      for address in judged.remote { queue(address, of: judged) }
      // They can't take mail now; that the sender hears of it is the queue's care, as for every other failure.
      for address in judged.undeliverable where seen.insert(undeliverable: address) {
        queued.append(.atHome(address, Self.notification(of: judged, for: address), due: due))
      }
    }
  }

  private mutating func merge(_ judged: JudgedRecipient, _ account: AccountID) {
    guard let into = deliveries.first(where: { $0.account == account })?.recipient, into != judged.recipient.address else { return }
    merged.append(Merged(recipient: judged.recipient.address, into: into))
  }

  private mutating func queue(_ address: EmailAddress, of judged: JudgedRecipient) {
    guard seen.insert(remote: address) else { return }
    queued.append(
      QueuedRecipient(
        address: address, notification: Self.notification(of: judged, for: address),
        destination: address.asciiDomain ?? address.domain, due: due))
  }

  /// What an alias leads to keeps the sender's wishes, and who was meant first (RFC 3461, 5.2.7.1).
  private static func notification(of judged: JudgedRecipient, for address: EmailAddress) -> NotificationRequest {
    var request = judged.recipient.notification
    if request.originalRecipient == nil, address != judged.recipient.address {
      request.originalRecipient = "rfc822;\(judged.recipient.address)"
    }
    return request
  }
}
