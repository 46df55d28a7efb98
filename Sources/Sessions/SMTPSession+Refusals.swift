import Bytes
import InternetMessage
import Logging
import MailModel
import MailStore
import Outside
import Reception
import SMTP

/// What was refused is told in the log and in the trace, whoever refused it.
///
/// Bounded: the store writes so many refusals of one client a minute one by one and counts the rest; a log line that a client can have at no
/// cost (a command refused, a message broken off) is written only for those.
extension SMTPSession {
  /// Into the trace; bounded there for each client. Whether it is told by itself.
  @discardableResult
  func note(_ refusal: Refusal, id: QueueID? = nil) -> Bool {
    var refusal = refusal
    if let reply = refusal.reply {
      let outgoing = listener.service.outgoing(reply)
      if outgoing != reply { refusal.hardReply = reply }
      refusal.reply = outgoing
    }
    return listener.store.note(id ?? listener.store.makeQueueID(), [listener.reception.event(of: refusal, client: client)])
  }

  /// What the client called itself and how it speaks, before it is told of.
  func describeClient() {
    client.heloName = client.namedHelo ?? conversation.clientName ?? ""
    client.protocolKeyword = conversation.protocolKeyword(isExtended: client.namedExtended)
  }

  /// A log line of a refusal.
  private func log(_ message: Logger.Message, _ refusal: Refusal) {
    guard listener.log.logLevel <= .notice else { return }
    var metadata: Logger.Metadata = [
      "client": "\(client.addressText)", "helo": "\(client.heloName)", "from": "\(refusal.sender?.wire ?? "<>")",
      "reason": "\(refusal.reason)",
    ]
    if let reply = refusal.reply { metadata["reply"] = "\(listener.service.outgoing(reply))" }
    if !refusal.recipients.isEmpty { metadata["to"] = "\(Self.listed(refusal.recipients))" }
    if let size = refusal.size { metadata["size"] = "\(size)" }
    if let said = refusal.said { metadata["said"] = "\(said)" }
    listener.log.notice(message, metadata: metadata)
  }

  // MARK: MAIL and RCPT

  /// MAIL is refused.
  func noteRefusedSender(_ sender: SMTPSender, _ reply: SMTPReply, _ cause: Refusal.Cause, reason: String) {
    tell(
      Refusal(
        .mail, sender: sender.envelope.reversePath, recipients: [], reply: reply, cause: cause, reason: reason,
        size: sender.declaredSize))
  }

  /// RCPT is refused by a judgement.
  func noteRefusal(_ reply: SMTPReply, _ cause: Refusal.Cause, reason: String, recipient: SMTPRecipient) {
    let refusal = Refusal(.recipient, sender: sender, recipients: [recipient.address], reply: reply, cause: cause, reason: reason)
    note(refusal)
    log("recipient refused", refusal)
  }

  /// A refusal that costs the client nothing: bounded in the log as in the trace.
  private func tell(_ refusal: Refusal) {
    guard note(refusal) else { return }
    log(refusal.stage == .mail ? "sender refused" : "recipient refused", refusal)
  }

  /// There are too many recipients for one transaction.
  func noteCrowded(_ recipient: EmailAddress, _ step: SMTPStep, reason: String) {
    guard let reply = step.refusal else { return }
    tell(Refusal(.recipient, sender: sender, recipients: [recipient], reply: reply, cause: .load, reason: reason))
  }

  /// What the conversation refuses of MAIL and RCPT by itself: what can't be read, was not offered, or is too much. Commands out of their order
  /// belong to no message and leave nothing.
  ///
  /// - Parameter wasInTransaction: before this input.
  func noteRefusedCommand(_ input: SMTPInput, _ step: SMTPStep, wasInTransaction: Bool) {
    guard let reply = step.refusal, reply.code != 503 else { return }
    let (cause, reason) = Self.words(of: reply)
    switch input {
    case .command(.mail(let sender), _):
      describeClient()
      noteRefusedSender(sender, reply, cause, reason: reason)
    case .command(.rcpt(let recipient), _) where wasInTransaction:
      tell(Refusal(.recipient, sender: sender, recipients: [recipient.address], reply: reply, cause: cause, reason: reason))
    case .malformed, .overlong:
      guard let command = RefusedCommand(parser.refusedLine) else { return }
      var refusal = Refusal(
        .recipient, sender: sender, recipients: [command.address].compactMap { $0 }, reply: reply, cause: .client,
        reason: "the command can't be read")
      refusal.said = String.escaped(parser.refusedLine, limit: 200)
      if command.verb == .mail {
        (refusal.stage, refusal.sender, refusal.recipients) = (.mail, command.address, [])
        describeClient()
      } else if !wasInTransaction {
        return
      }
      tell(refusal)
    default: return
    }
  }

  private static func words(of reply: SMTPReply) -> (Refusal.Cause, String) {
    switch reply.code {
    case 552: (.rules, "too large")
    case 452: (.load, "too many recipients in one transaction")
    case 421: (.load, "too much in one session")
    default: (.client, "by the rules of the protocol")
    }
  }

  // MARK: Messages

  /// Nothing was stored, and why.
  func refuse(
    _ message: SMTPMessage, _ problem: StoringProblem, id: QueueID? = nil, _ observed: MessageObservation? = nil
  ) -> SMTPStep {
    refuse(message, problem.reply, problem.cause, reason: problem.reason, id: id, observed)
  }

  /// The message is refused: by what was seen of it, or by the store.
  func refuse(
    _ message: SMTPMessage, _ reply: SMTPReply, _ cause: Refusal.Cause, reason: String, id: QueueID? = nil,
    _ observed: MessageObservation? = nil
  ) -> SMTPStep {
    var refusal = Refusal(
      .message, sender: message.sender.envelope.reversePath, recipients: message.recipients.map(\.address), reply: reply,
      cause: cause, reason: reason, size: message.outcome.octets)
    refusal.messageID = observed?.summary.messageID
    refusal.hops = observed?.census.hops
    note(refusal, id: id)
    log("message refused", refusal)
    return conversation.answer(.refuse(reply))
  }

  /// A body that the conversation itself refuses: too large, or with lines that don't end as they must.
  func noteUnfit(_ outcome: DataOutcome, _ step: SMTPStep, from sender: EmailAddress?, to recipients: [JudgedRecipient]) {
    guard !outcome.defects.isEmpty, !recipients.isEmpty, let reply = step.refusal else { return }
    let isTooLarge = reply.code == 552
    let refusal = Refusal(
      .message, sender: sender, recipients: recipients.map(\.recipient.address), reply: reply, cause: isTooLarge ? .rules : .client,
      reason: isTooLarge ? "too large" : "the body is unfit", size: outcome.octets)
    if note(refusal) { log("message refused", refusal) }
  }

  /// The message that is coming breaks off: told with what had come of it. Nil: it goes on.
  ///
  /// - Parameters:
  ///   - started: when its first octet came.
  ///   - received: octets since then.
  ///   - end: the conversation's end.
  func cutOff(
    _ reason: String, since started: MonotonicInstant, _ received: UInt64, _ end: (inout SMTPConversation<Receipt>) -> SMTPStep
  ) -> SMTPStep? {
    let step = end(&conversation)
    if case .proceed = step { return nil }
    guard !judged.isEmpty else { return step }
    let seconds = listener.clock.monotonic().since(started).components.seconds
    var refusal = Refusal(
      .message, sender: sender, recipients: judged.map(\.recipient.address), reply: step.refusal, cause: .client,
      reason: "\(reason): \(received) octets had come in \(seconds) s", size: received)
    refusal.isCutOff = true
    if note(refusal) { log("message cut off", refusal) }
    return step
  }

  /// As `cutOff`, between two chunks.
  func cutOffBetweenChunks(_ reason: String, _ end: (inout SMTPConversation<Receipt>) -> SMTPStep) -> SMTPStep? {
    guard conversation.holdsBody, let intake else { return end(&conversation) }
    return cutOff(reason, since: intake.started, connection.bytesReceived &- intake.receivedBefore, end)
  }
}

extension SessionLimits {
  /// Which bound of a message that is coming was passed.
  func words(since started: MonotonicInstant, _ received: UInt64, at now: MonotonicInstant) -> String {
    if now >= started.advanced(by: message) { return "the whole of it took too long (limits.data-timeout)" }
    if now >= patience(since: started, received: received) { return "it came too slowly (limits.minimum-rate)" }
    return "nothing came for \(data.components.seconds) s"
  }
}

extension SMTPStep {
  /// The first 4xx or 5xx reply that it says.
  var refusal: SMTPReply? {
    switch self {
    case .reply(let reply): reply.code >= 400 ? reply : nil
    case .replies(let replies), .close(let replies): replies.first { $0.code >= 400 }
    case .proceed, .challenge, .ask, .receive, .upgradeTLS: nil
    }
  }
}
