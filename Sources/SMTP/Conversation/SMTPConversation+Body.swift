import MailModel

/// DATA and BDAT, and what becomes of a message (RFC 5321, 4.1.1.4; RFC 3030, 2; RFC 2033, 4.2).
extension SMTPConversation {
  /// DATA.
  mutating func data(isLast: Bool) -> SMTPStep {
    guard clientName != nil else { return bad(sayHello) }
    guard let transaction else { return outOfOrder(.needsSender) }
    // RFC 3030, 2: not after BDAT; RFC 3030, 3: not for binary.
    guard transaction.chunks == nil else { return bad(.inChunks) }
    guard transaction.sender.envelope.bodyType != .binaryMIME else { return bad(.needsChunks) }
    guard !transaction.recipients.isEmpty else { return .reply(.noRecipients) }
    // RFC 2920, 3.1: the text may follow only after the 354.
    guard isLast else { return pipelined() }
    phase = .data
    return .receive(.startData, .dotStuffed(limits: service.limits))
  }

  /// BDAT: the chunk is read whatever the answer is, or the connection ends (HOSTILE 3).
  mutating func bdat(_ octets: UInt64, isLastChunk: Bool) -> SMTPStep {
    guard service.extensions.contains(.chunking) else { return discard(octets, .notOffered, isLast: isLastChunk) }
    guard clientName != nil else { return discard(octets, sayHello, isLast: isLastChunk) }
    guard let transaction else { return discard(octets, .needsSender, isLast: isLastChunk) }
    guard !transaction.recipients.isEmpty else { return discard(octets, .noRecipients, isLast: isLastChunk) }
    let previous = transaction.chunks ?? DataOutcome()
    let limit = service.limits.messageSize
    guard limit == 0 || previous.octets.addedClamped(octets) <= limit else {
      return discard(octets, .tooLarge, isLast: isLastChunk)
    }
    if transaction.chunks == nil { self.transaction?.chunks = previous }
    phase = .chunk(isLast: isLastChunk)
    let isBinary = transaction.sender.envelope.bodyType == .binaryMIME
    return .receive(nil, .chunk(octets: octets, isBinary: isBinary, after: previous, limits: service.limits))
  }

  /// Throws a chunk away and refuses it; one that is larger than any message ends the connection.
  private mutating func discard(_ octets: UInt64, _ reply: SMTPReply, isLast: Bool) -> SMTPStep {
    let limit = service.limits.messageSize
    guard limit == 0 || octets <= limit.addedClamped(service.limits.overrun) else { return close(reply) }
    phase = .discarding(reply, isLast: isLast)
    return .receive(nil, .discarding(octets: octets, limits: service.limits))
  }

  /// The decoder of `receive` ended.
  public mutating func received(_ outcome: DataOutcome) -> SMTPStep {
    switch phase {
    case .data: return receivedAll(outcome, endsStream: true)
    case .chunk(isLast: true): return receivedAll(outcome, endsStream: false)
    case .chunk(isLast: false): return receivedChunk(outcome)
    case .discarding(let reply, let isLast): return discarded(reply, isLast: isLast)
    default: return misuse()
    }
  }

  private mutating func receivedChunk(_ outcome: DataOutcome) -> SMTPStep {
    if let refusal = refusal(of: outcome) {
      transaction = nil
      senderWasRefused = true
      guard !outcome.defects.contains(.overrun) else { return close(refusal) }
      return reply(refusal)
    }
    transaction?.chunks = outcome
    return reply(SMTPReply(250, .init(.success, 0, 0), "\(outcome.octets) octets so far"))
  }

  /// - Parameter endsStream: the end was found by its dot: if lines are in doubt, so is the end, and the connection closes (HOSTILE 1).
  private mutating func receivedAll(_ outcome: DataOutcome, endsStream: Bool) -> SMTPStep {
    guard let transaction else { return misuse() }
    var outcome = outcome
    if outcome.endsWithCarriageReturn, transaction.sender.envelope.bodyType != .binaryMIME {
      outcome.defects.insert(.bareCarriageReturn)
    }
    guard let refusal = refusal(of: outcome) else {
      return ask(.message(SMTPMessage(sender: transaction.sender, recipients: transaction.recipients, outcome: outcome)))
    }
    let mustClose = outcome.defects.contains(.overrun) || (endsStream && !outcome.defects.isDisjoint(with: .ambiguous))
    return refuseAll(refusal, andClose: mustClose)
  }

  private func refusal(of outcome: DataOutcome) -> SMTPReply? {
    let defects = outcome.defects
    if defects.isEmpty { return nil }
    if defects.contains(.overrun) { return .tooLarge }
    if !defects.isDisjoint(with: [.bareCarriageReturn, .bareLineFeed]) { return .bareLineEnding }
    if defects.contains(.nul) { return .nulInMessage }
    if defects.contains(.tooLarge) { return .tooLarge }
    return .bodyLineTooLong
  }

  private mutating func discarded(_ reply: SMTPReply, isLast: Bool) -> SMTPStep {
    // A message of which a chunk was refused is refused whole (RFC 3030, 2). In LMTP its last chunk is answered for each recipient.
    phase = .commands(isWelcome: true)
    let isOutOfOrder = transaction == nil
    let wasRefused = senderWasRefused
    guard !isOutOfOrder, isLast, service.dialect == .lmtp, transaction?.answers.isEmpty == false else {
      transaction = nil
      senderWasRefused = wasRefused || !isOutOfOrder
      return isOutOfOrder ? outOfOrder(reply) : .reply(reply)
    }
    return refuseAll(reply, andClose: false)
  }

  // MARK: The message is judged

  /// The message is on stable storage for all recipients.
  ///
  /// - Parameter note: what follows in the reply, `queued as 0abc...`.
  public mutating func stored(_ proof: Proof, note: String) -> SMTPStep {
    stored(proof, note: note, refusals: [])
  }

  /// The message is on stable storage for those recipients whose place in `refusals` is nil (or missing), in the order of
  /// `SMTPMessage.recipients`. In SMTP there is one reply, `250`; who was refused must be notified otherwise.
  public mutating func stored(_ proof: Proof, note: String, refusals: [SMTPReply?]) -> SMTPStep {
    guard case .asking(.message) = phase, let transaction else { return misuse() }
    acceptedMessages += 1
    idleCommands = 0
    let accepted = SMTPReply(250, .init(.success, 0, 0), note)
    self.transaction = nil
    phase = .commands(isWelcome: true)
    guard service.dialect == .lmtp else { return .reply(accepted) }
    // RFC 2033, 4.2: one reply for each RCPT that was accepted, in their order.
    return .replies(
      transaction.answers.map { place in
        guard refusals.indices.contains(place), let refusal = refusals[place] else { return accepted }
        return refusal.asRefusal
      })
  }

  mutating func judgedMessage(_ verdict: SMTPVerdict) -> SMTPStep {
    switch verdict {
    // Without a proof there is no 250.
    case .accept: refuseAll(.internalError, andClose: false)
    case .refuse(let refusal): refuseAll(refusal.asRefusal, andClose: false)
    case .tooMany: refuseAll(.tooManyRecipients, andClose: false)
    case .refuseAndClose(let refusal): refuseAll(refusal.asRefusal, andClose: true)
    }
  }

  /// The message is refused for each recipient by itself, in the order of `SMTPMessage.recipients`; nothing was stored. In SMTP the
  /// first refusal is the reply.
  public mutating func refused(each refusals: [SMTPReply]) -> SMTPStep {
    guard case .asking(.message) = phase, let transaction else { return misuse() }
    let first = refusals.first?.asRefusal ?? .internalError
    guard service.dialect == .lmtp else { return refuseAll(first, andClose: false) }
    self.transaction = nil
    phase = .commands(isWelcome: true)
    return .replies(transaction.answers.map { refusals.indices.contains($0) ? refusals[$0].asRefusal : first })
  }

  /// Ends the transaction with a refusal: one reply, or in LMTP one for each accepted RCPT.
  private mutating func refuseAll(_ refusal: SMTPReply, andClose mustClose: Bool) -> SMTPStep {
    let count = service.dialect == .lmtp ? transaction?.answers.count ?? 1 : 1
    transaction = nil
    phase = mustClose ? .closed : .commands(isWelcome: true)
    let replies = Array(repeating: refusal, count: count)
    if mustClose { return .close(replies) }
    return service.dialect == .lmtp ? .replies(replies) : .reply(refusal)
  }
}
