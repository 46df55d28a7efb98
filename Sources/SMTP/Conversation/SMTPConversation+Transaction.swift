import InternetMessage
import MailModel

/// MAIL and RCPT (RFC 5321, 3.3), and the answers to questions.
extension SMTPConversation {
  /// The answer to `ask`.
  public mutating func answer(_ verdict: SMTPVerdict) -> SMTPStep {
    guard case .asking(let question) = phase else { return misuse() }
    switch question {
    case .greeting: return greet(verdict)
    case .xclient:
      forgive()
      return greet(verdict)
    case .sender(let sender): return judged(sender, verdict)
    case .recipient(let recipient): return judged(recipient, verdict)
    case .message: return judgedMessage(verdict)
    case .authentication: return misuse()
    }
  }

  /// MAIL (RFC 5321, 4.1.1.2).
  mutating func mail(_ sender: SMTPSender) -> SMTPStep {
    guard clientName != nil else { return bad(sayHello) }
    guard transaction == nil else { return bad(transaction?.chunks == nil ? .hasSender : .inChunks) }
    // RFC 6409, 4.3: who submits says first who it is.
    if let offer = service.authentication, offer.isRequired, !isAuthenticated {
      return bad(tls == nil && offer.needsTLS ? .startTLSFirst : .authenticateFirst)
    }
    let limits = service.limits
    guard limits.messages <= 0 || senders < limits.messages else { return close(.tooManyMessages) }
    if let refusal = unoffered(sender.envelope) {
      senderWasRefused = true
      return bad(refusal)
    }
    // RFC 1870, 6.1; HOSTILE 12.
    if let size = sender.declaredSize, limits.messageSize > 0, size > limits.messageSize {
      senderWasRefused = true
      return .reply(.tooLarge)
    }
    return ask(.sender(sender))
  }

  /// A parameter of an extension that was not announced (RFC 5321, 4.1.1.11).
  private func unoffered(_ envelope: Envelope) -> SMTPReply? {
    let offered = service.extensions
    switch envelope.bodyType {
    case .sevenBit: break
    case .eightBitMIME: if !offered.contains(.eightBitMIME) { return .parameterNotOffered }
    case .binaryMIME: if !offered.contains(.binaryMIME) { return .parameterNotOffered }
    }
    if envelope.isInternationalized, !offered.contains(.smtpUTF8) { return .parameterNotOffered }
    if envelope.return != .unspecified || envelope.envelopeID != nil, !offered.contains(.dsn) { return .parameterNotOffered }
    if envelope.requiresTLS {
      guard offered.contains(.requireTLS) else { return .parameterNotOffered }
      // RFC 8689, 4.1: what must not travel in clear must not have come in clear.
      guard tls != nil else { return .needsTLS }
    }
    return nil
  }

  private mutating func judged(_ sender: SMTPSender, _ verdict: SMTPVerdict) -> SMTPStep {
    switch verdict {
    case .accept:
      senders += 1
      senderWasRefused = false
      transaction = SMTPTransaction(sender: sender)
      return reply(.senderOK)
    case .refuse(let refusal):
      senderWasRefused = true
      return reply(refusal.asRefusal)
    case .tooMany: return judged(sender, .refuse(.internalError))
    case .refuseAndClose(let refusal): return close(refusal.asRefusal)
    }
  }

  /// RCPT (RFC 5321, 4.1.1.3).
  mutating func rcpt(_ recipient: SMTPRecipient) -> SMTPStep {
    guard clientName != nil else { return bad(sayHello) }
    guard let transaction else { return outOfOrder(.needsSender) }
    // RFC 3030, 2: no command but BDAT, RSET and harmless ones between chunks.
    guard transaction.chunks == nil else { return bad(.inChunks) }
    let notification = recipient.notification
    if !notification.notify.isEmpty || notification.originalRecipient != nil, !service.extensions.contains(.dsn) {
      return bad(.parameterNotOffered)
    }
    // RFC 6531, 3.4.
    guard transaction.sender.envelope.isInternationalized || recipient.address.isASCII else { return bad(.needsSMTPUTF8) }
    guard transaction.answers.count < service.limits.recipients else { return overshoot() }
    if let place = transaction.place(of: recipient.address) {
      self.transaction?.repeatRecipient(at: place)
      return .reply(.recipientOK)
    }
    return ask(.recipient(recipient))
  }

  /// RFC 5321, 4.5.3.1.10: 452, so that the client sends the rest again; far beyond the limit it counts as an error (HOSTILE 11).
  private mutating func overshoot() -> SMTPStep {
    let count = (transaction?.overshoot ?? 0) + 1
    transaction?.overshoot = count
    return count <= service.limits.recipientOvershoot ? .reply(.tooManyRecipients) : bad(.tooManyRecipients)
  }

  private mutating func judged(_ recipient: SMTPRecipient, _ verdict: SMTPVerdict) -> SMTPStep {
    switch verdict {
    case .accept:
      transaction?.add(recipient)
      return reply(.recipientOK)
    case .refuse(let refusal):
      let refusal = refusal.asRefusal
      guard refusal.isPermanent else { return reply(refusal) }
      guard !isTrusted else { return reply(refusal) }
      badRecipients += 1
      refusedRecipientJustNow = true
      // HOSTILE 11: a harvest of addresses is cut.
      let limit = service.limits.badRecipients
      guard limit <= 0 || badRecipients <= limit else { return close(.tooManyBadRecipients) }
      return reply(refusal)
    case .tooMany:
      phase = .commands(isWelcome: true)
      return overshoot()
    case .refuseAndClose(let refusal):
      badRecipients += 1
      return close(refusal.asRefusal)
    }
  }
}
