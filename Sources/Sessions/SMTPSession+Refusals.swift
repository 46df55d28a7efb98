import InternetMessage
import Logging
import MailModel
import MailStore
import Reception
import SMTP

/// What was refused is told in the log and in the trace, whoever refused it.
extension SMTPSession {
  /// Into the trace; bounded there for each client.
  func note(_ refusal: Refusal, id: QueueID? = nil) {
    var refusal = refusal
    refusal.reply = listener.outgoing(refusal.reply)
    listener.store.note(id ?? listener.store.makeQueueID(), [listener.reception.event(of: refusal, client: client)])
  }

  func noteRefusal(_ reply: SMTPReply, reason: String, recipient: SMTPRecipient) {
    note(Refusal(.recipient, sender: sender, recipients: [recipient.address], reply: reply, reason: reason))
    listener.log.notice(
      "recipient refused",
      metadata: [
        "client": "\(client.addressText)", "helo": "\(client.heloName)", "from": "\(sender?.wire ?? "<>")",
        "to": "\(recipient.address)", "reply": "\(listener.outgoing(reply))", "reason": "\(reason)",
      ])
  }

  /// The message is refused: by what was seen of it, or by the store.
  func refuse(
    _ message: SMTPMessage, _ reply: SMTPReply, reason: String, id: QueueID? = nil, _ observed: MessageObservation? = nil
  ) -> SMTPStep {
    var refusal = Refusal(
      .message, sender: message.sender.envelope.reversePath, recipients: message.recipients.map(\.address), reply: reply,
      reason: reason, size: message.outcome.octets)
    refusal.messageID = observed?.summary.messageID
    refusal.hops = observed?.census.hops
    note(refusal, id: id)
    listener.log.notice(
      "message refused",
      metadata: ["client": "\(client.addressText)", "reply": "\(listener.outgoing(reply))", "reason": "\(reason)"])
    return conversation.answer(.refuse(reply))
  }

  /// A body that the conversation itself refuses: too large, or with lines that don't end as they must.
  func noteUnfit(_ outcome: DataOutcome, _ step: SMTPStep, from sender: EmailAddress?, to recipients: [JudgedRecipient]) {
    guard !outcome.defects.isEmpty, let reply = step.refusal else { return }
    note(
      Refusal(
        .message, sender: sender, recipients: recipients.map(\.recipient.address), reply: reply, reason: "the body is unfit",
        size: outcome.octets))
  }

  /// A sender that announces more than is taken.
  func noteTooLarge(_ input: SMTPInput, _ step: SMTPStep) {
    guard case .command(.mail(let sender), _) = input, let size = sender.declaredSize, let reply = step.refusal, reply.code == 552
    else { return }
    client.heloName = client.namedHelo ?? conversation.clientName ?? ""
    note(
      Refusal(.mail, sender: sender.envelope.reversePath, recipients: [], reply: reply, reason: "too large", size: size))
  }
}

extension SMTPStep {
  /// The first 4xx or 5xx reply that it says.
  fileprivate var refusal: SMTPReply? {
    let replies: [SMTPReply] =
      switch self {
      case .reply(let reply): [reply]
      case .replies(let replies), .close(let replies): replies
      case .proceed, .ask, .receive, .upgradeTLS: []
      }
    return replies.first { $0.code >= 400 }
  }
}
