import InternetMessage
import MailModel
import Outside
import SMTP

/// Turns a judged message into what is to be stored: local deliveries and queue entries together, each address once. Pure.
struct AcceptancePlan {
  var id: QueueID
  var time: Timestamp
  var hostname: String
  var client: Client
  var message: SMTPMessage
  var recipients: [JudgedRecipient]
  var census: BodyCensus
  var summary: MessageSummary

  func acceptance() -> Acceptance {
    let received = ReceivedField(
      client: client, hostname: hostname, id: id,
      onlyRecipient: message.recipients.count == 1 ? message.recipients.first?.address : nil, time: time)
    return Acceptance(
      id: id, received: time, envelope: message.sender.envelope, prefix: received.bytes, summary: summary, census: census,
      deliveries: deliveries(), recipients: queued(), confirmations: confirmations(), trace: trace())
  }

  /// One copy an account, however many recipients lead to it; the first decides the address it is traced under.
  private func deliveries() -> [LocalDelivery] {
    var seen: Set<AccountID> = []
    var result: [LocalDelivery] = []
    for judged in recipients {
      for target in judged.local where seen.insert(target.account).inserted {
        result.append(
          LocalDelivery(account: target.account, recipient: target.address, notification: judged.recipient.notification))
      }
    }
    return result
  }

  /// One a recipient that has copies here, whatever account they went to, and that asked for it (RFC 3461, 4.1). Nobody is told of
  /// what came from the null path (RFC 3461, 5.2.3).
  private func confirmations() -> [QueuedRecipient] {
    guard message.sender.envelope.reversePath != nil else { return [] }
    return recipients.filter { !$0.local.isEmpty && $0.recipient.notification.notify.contains(.success) }.map { judged in
      QueuedRecipient(
        address: judged.recipient.address, notification: judged.recipient.notification, destination: QueuedRecipient.confirmation,
        due: time)
    }
  }

  private func queued() -> [QueuedRecipient] {
    var seen: Set<String> = []
    var result: [QueuedRecipient] = []
    for judged in recipients {
      for address in judged.remote where seen.insert(address.lookupKey).inserted {
        result.append(
          QueuedRecipient(
            address: address, notification: notification(of: judged, for: address),
            destination: address.asciiDomain ?? address.domain, due: time))
      }
    }
    return result
  }

  /// What an alias leads to keeps the sender's wishes, and who was meant first (RFC 3461, 5.2.7.1).
  private func notification(of judged: JudgedRecipient, for address: EmailAddress) -> NotificationRequest {
    var request = judged.recipient.notification
    if request.originalRecipient == nil, address != judged.recipient.address {
      request.originalRecipient = "rfc822;\(judged.recipient.address)"
    }
    return request
  }

  private func trace() -> [TraceEvent] {
    var detail: [TraceEvent.Detail] = [
      .init("client", client.addressText), .init("helo", client.heloName), .init("with", client.protocolKeyword),
      .init("from", message.sender.envelope.reversePath.map(\.description) ?? "<>"), .init("size", String(message.outcome.octets)),
    ]
    if let tls = client.tls { detail.append(.init("tls", "\(tls.version) \(tls.cipher)")) }
    if let messageID = summary.messageID { detail.append(.init("message-id", messageID)) }
    detail.append(.init("hops", String(census.hops)))
    if client.isTrusted { detail.append(.init("trusted", "network")) }
    var events = [TraceEvent(time: time, kind: .received, detail: detail)]
    for judged in recipients where judged.local.count != 1 || judged.local.first?.address != judged.recipient.address {
      let targets = judged.local.map(\.address.description) + judged.remote.map(\.description)
      guard targets != [judged.recipient.address.description] else { continue }
      events.append(
        TraceEvent(
          time: time, kind: .expanded, recipient: judged.recipient.address.description,
          detail: [.init("because", judged.explanation), .init("to", targets.prefix(100).joined(separator: " "))]))
    }
    return events
  }
}
