import InternetMessage
import MailModel
import Outside
import SMTP

/// Turns a judged message into what is to be stored: local deliveries and queue entries together, each address once. Pure.
struct AcceptancePlan {
  var id: QueueID
  var time: Timestamp
  /// When what is queued may leave, by the schedule.
  var due: Timestamp
  var hostname: String
  var client: Client
  var message: SMTPMessage
  var recipients: [JudgedRecipient]
  var census: BodyCensus
  var summary: MessageSummary
  /// The message does not begin with a field.
  var hasNoHeader = false

  func acceptance() -> Acceptance {
    let division = Division(of: recipients, due: due)
    let received = ReceivedField(
      client: client, hostname: hostname, id: id,
      onlyRecipient: message.recipients.count == 1 ? message.recipients.first?.address : nil,
      allowsUTF8: division.queued.isEmpty, time: time)
    // Else its first lines would read as ours, or as broken fields.
    let prefix = hasNoHeader ? received.bytes + [0x0D, 0x0A] : received.bytes
    var census = census
    // Our own field is part of the header that a next hop gets.
    if received.isUTF8 { census.hasEightBitHeader = true }
    return Acceptance(
      id: id, received: time, due: due, envelope: message.sender.envelope, prefix: prefix, summary: summary, census: census,
      deliveries: division.deliveries, recipients: division.queued, confirmations: confirmations(),
      trace: trace(division.merged))
  }

  /// One a recipient that has copies here, whatever account they went to, and that asked for it (RFC 3461, 4.1). Nobody is told of
  /// what came from the null path (RFC 3461, 5.2.3).
  private func confirmations() -> [QueuedRecipient] {
    guard message.sender.envelope.reversePath != nil else { return [] }
    return recipients.filter { !$0.local.isEmpty && $0.recipient.notification.notify.contains(.success) }.map { judged in
      QueuedRecipient(
        address: judged.recipient.address, notification: judged.recipient.notification, destination: QueuedRecipient.confirmation,
        due: due)
    }
  }

  /// Why each recipient was taken: once, if for the same reason.
  private func reasons() -> String {
    guard let first = recipients.first else { return "" }
    if recipients.allSatisfy({ $0.explanation == first.explanation }) { return first.explanation }
    return recipients.prefix(Reception.namedRecipients).map { "\($0.recipient.address) \($0.explanation)" }
      .joined(separator: ", ")
  }

  /// - Parameter merged: recipients whose copy is another's.
  private func trace(_ merged: [Division.Merged]) -> [TraceEvent] {
    var detail = client.facts
    detail.reserveCapacity(14)
    detail.append(.init("from", message.sender.envelope.reversePath.map(\.description) ?? "<>"))
    detail += Reception.named(message.recipients.map(\.address))
    detail.append(.init("size", String(message.outcome.octets)))
    if let messageID = summary.messageID { detail.append(.init("message-id", messageID)) }
    detail.append(.init("hops", String(census.hops)))
    if client.isTrusted { detail.append(.init("trusted", "network")) }
    detail.append(.init("verdict", "accept"))
    detail.append(.init("because", reasons()))
    var events = [TraceEvent(time: time, kind: .received, detail: detail)]
    for merged in merged {
      events.append(
        TraceEvent(
          time: time, kind: .expanded, recipient: merged.recipient.description,
          detail: [.init("because", "the same mailbox"), .init("to", merged.into.description)]))
    }
    for judged in recipients where judged.isExpanded {
      let targets = judged.local.map(\.address.description) + judged.remote.map(\.description)
      guard targets != [judged.recipient.address.description] || !judged.undeliverable.isEmpty else { continue }
      var detail: [TraceEvent.Detail] = [
        .init("because", judged.explanation), .init("to", targets.prefix(100).joined(separator: " ")),
      ]
      if !judged.undeliverable.isEmpty {
        detail.append(.init("undeliverable", judged.undeliverable.prefix(100).map(\.description).joined(separator: " ")))
      }
      events.append(
        TraceEvent(time: time, kind: .expanded, recipient: judged.recipient.address.description, detail: detail))
    }
    return events
  }
}
