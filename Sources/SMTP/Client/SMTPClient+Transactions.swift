import InternetMessage
import NIOCore

/// MAIL, RCPT, DATA or BDAT, and the end.
extension SMTPClient {
  /// Bodies up to this go out with BDAT before RCPT is answered, where nothing else is under way: 64 KiB.
  static let eagerChunk = 65_536

  /// How this host could be given `transaction`.
  public func plan(for transaction: SMTPClientTransaction) -> SMTPClientPlan {
    SMTPClientPlan.make(
      transaction, capabilities: capabilities, settings: chunkingRefused ? withoutChunking : settings, isVerified: isVerified)
  }

  private var withoutChunking: SMTPClientSettings {
    var settings = settings
    settings.usesChunking = false
    return settings
  }

  /// Starts a transaction; call only while `canStart` (else it is completed at once with nothing tried).
  public mutating func start(_ transaction: SMTPClientTransaction) {
    guard canStart, !transaction.recipients.isEmpty else {
      completed.append(SMTPTransactionResult(id: transaction.id, recipients: transaction.recipients.map { _ in .notTried }))
      return
    }
    let terms: SMTPClientPlan.Terms
    switch plan(for: transaction) {
    case .send(let found): terms = found
    case .refuse(let failure): return refuse(transaction, failure)
    case .needsSevenBit:
      return refuse(
        transaction,
        SMTPClientFailure(stage: .mail, reason: "554 5.6.3 The message holds 8-bit or binary data, which the host does not take"))
    }
    started &+= 1
    active.append(ActiveTransaction(transaction, terms: terms, named: countNamed(transaction)))
    active[active.count - 1].startsClean = needsReset || started == 1
    if needsReset {
      pendingOutput.writeStaticString("RSET\r\n")
      expected.append(.reset)
    }
    if capabilities.pipelining || !needsReset { begin(active.count - 1) }
    needsReset = false
  }

  private mutating func refuse(_ transaction: SMTPClientTransaction, _ failure: SMTPClientFailure) {
    completed.append(SMTPTransactionResult(id: transaction.id, recipients: transaction.recipients.map { _ in .permanent(failure) }))
  }

  /// How many recipients this transaction may name (RFC 9422, 4.2, 4.3).
  private func countNamed(_ transaction: SMTPClientTransaction) -> Int {
    var count = transaction.recipients.count
    if capabilities.maximumRecipients > 0 { count = min(count, Int(clamping: capabilities.maximumRecipients)) }
    guard capabilities.maximumDomains > 0 else { return count }
    var domains: Set<String> = []
    for (index, recipient) in transaction.recipients.prefix(count).enumerated() {
      domains.insert(recipient.address.domain)
      if UInt64(domains.count) > capabilities.maximumDomains { return index }
    }
    return count
  }

  /// Writes MAIL, and where PIPELINING is offered everything that may follow without waiting (RFC 2920, 3.1).
  private mutating func begin(_ index: Int) {
    let transaction = active[index].transaction
    SMTPClientCommands.mail(transaction, active[index].terms, into: &pendingOutput)
    expected.append(.mail(transaction.id))
    guard capabilities.pipelining else { return }
    while active[index].nextRecipient < active[index].named { nameRecipient(index) }
    switch active[index].terms.framing {
    case .dotted: askForData(index)
    case .chunk:
      // RFC 3030, 2: a chunk that fails leaves the transaction in an unknown state. Behind another one, the body therefore waits for
      // the replies to its own envelope.
      if index == 0, transaction.size <= Self.eagerChunk { announceChunk(index) }
    }
  }

  private mutating func nameRecipient(_ index: Int) {
    let next = active[index].nextRecipient
    guard next < active[index].named, next < active[index].transaction.recipients.count else { return }
    SMTPClientCommands.recipient(active[index].transaction.recipients[next], active[index].terms, into: &pendingOutput)
    expected.append(.recipient(active[index].transaction.id, next))
    active[index].nextRecipient += 1
  }

  private mutating func askForData(_ index: Int) {
    pendingOutput.writeStaticString("DATA\r\n")
    expected.append(.data(active[index].transaction.id))
  }

  /// The whole body is one chunk, the last (RFC 3030, 2).
  private mutating func announceChunk(_ index: Int) {
    pendingOutput.writeString("BDAT \(max(active[index].transaction.size, 0)) LAST\r\n")
    active[index].phase = .sendingBody
  }

  /// The body went out whole, with its end.
  public mutating func bodySent() {
    guard let index = active.firstIndex(where: { $0.phase == .sendingBody }) else { return }
    active[index].phase = .waitingForEnd
    active[index].sentBody = true
    expected.append(.end(active[index].transaction.id))
  }

  /// The body can't be sent to its end, by our own fault. Nothing but closing ends the transaction without delivering half of it.
  public mutating func bodyFailed(_ reason: String, permanently: Bool) {
    guard phase != .ended else { return }
    let failure = SMTPClientFailure(stage: .body, reason: reason)
    if let index = active.firstIndex(where: { $0.phase == .sendingBody }) {
      active[index].settle(permanently ? .permanent(failure) : .transient(failure))
    }
    end(failure)
  }

  // MARK: Replies

  mutating func resetAnswered(_ reply: SMTPReply) {
    guard reply.isSuccess else { return end(SMTPClientFailure(stage: .reset, reply: reply)) }
    guard !capabilities.pipelining, !active.isEmpty else { return }
    begin(active.count - 1)
  }

  mutating func mailAnswered(_ reply: SMTPReply, _ id: UInt64) {
    guard let index = index(of: id) else { return }
    active[index].wasAnswered = true
    if reply.isSuccess {
      active[index].mailAccepted = true
      if !capabilities.pipelining { nameRecipient(index) }
      return
    }
    if reply.code == 503, !active[index].startsClean {
      // The host is still in another transaction: no fault of this message. RSET, and once more.
      active[index].settle(.notTried)
      needsReset = true
    } else {
      active[index].settle(Self.refusal(reply, at: .mail))
    }
    if !capabilities.pipelining { complete(index, needsReset: false) }
  }

  mutating func recipientAnswered(_ reply: SMTPReply, _ id: UInt64, _ recipient: Int) {
    guard let index = index(of: id), recipient < active[index].results.count else { return }
    active[index].wasAnswered = true
    active[index].unanswered -= 1
    if reply.isSuccess { active[index].hostHasRecipient = true }
    if active[index].results[recipient] == nil {
      if reply.isSuccess {
        active[index].isAccepted[recipient] = true
        active[index].acceptedCount += 1
      } else if Self.meansTooMany(reply), active[index].acceptedCount > 0 {
        // RFC 5321, 4.5.3.1.10: the rest goes into the next transaction.
        active[index].results[recipient] = .notTried
      } else {
        active[index].results[recipient] = Self.refusal(reply, at: .recipient)
      }
    }
    guard active[index].unanswered == 0 else {
      if !capabilities.pipelining { nameRecipient(index) }
      return
    }
    recipientsAnswered(index)
  }

  /// All recipients have been answered: the body, where it has not been asked for yet.
  private mutating func recipientsAnswered(_ index: Int) {
    guard active[index].phase == .envelope else { return }
    let isAsked = capabilities.pipelining && active[index].terms.framing == .dotted
    guard !isAsked else { return }
    guard active[index].acceptedCount > 0 else { return complete(index, needsReset: active[index].mayBeOpen) }
    switch active[index].terms.framing {
    case .dotted: askForData(index)
    case .chunk: announceChunk(index)
    }
  }

  mutating func dataAnswered(_ reply: SMTPReply, _ id: UInt64) {
    guard let index = index(of: id) else { return }
    active[index].wasAnswered = true
    if reply.code == 354 {
      guard active[index].acceptedCount == 0 else {
        active[index].phase = .sendingBody
        return
      }
      guard !active[index].hostHasRecipient else {
        // It would give an empty message to somebody, in another sender's name.
        return end(SMTPClientFailure(stage: .data, reason: "451 4.5.0 Host refused MAIL and accepted RCPT and DATA"))
      }
      // RFC 2920, 3.1: the host waits for a message though it has no recipient; it gets an empty one.
      pendingOutput.writeStaticString(".\r\n")
      active[index].phase = .waitingForEnd
      expected.append(.end(id))
      return
    }
    active[index].settle(Self.refusal(reply, at: .data), onlyAccepted: true)
    complete(index, needsReset: active[index].mayBeOpen)
  }

  mutating func endAnswered(_ reply: SMTPReply, _ id: UInt64) {
    guard let index = index(of: id) else { return }
    let isChunk = active[index].terms.framing == .chunk
    if isChunk, active[index].acceptedCount > 0, [500, 502, 504].contains(reply.code) { chunkingRefused = true }
    let result: SMTPRecipientResult
    if !reply.isSuccess { active[index].endFailed = true }
    if reply.isSuccess {
      result = .accepted(reply)
    } else if chunkingRefused, isChunk {
      result = .transient(SMTPClientFailure(stage: .end, reply: reply))
    } else {
      result = Self.refusal(reply, at: .end)
    }
    if settings.dialect == .lmtp {
      if let next = nextAccepted(index) { active[index].results[next] = result }
      if nextAccepted(index) != nil, reply.code != 421 { return expected.prepend(.end(id)) }
    } else {
      active[index].settle(result, onlyAccepted: true)
    }
    if reply.isIntermediate { return end(SMTPClientFailure(stage: .end, reply: reply)) }
    complete(index, needsReset: active[index].acceptedCount == 0 || active[index].endFailed)
  }

  private func nextAccepted(_ index: Int) -> Int? {
    active[index].results.indices.first { active[index].results[$0] == nil && active[index].isAccepted[$0] }
  }

  private func index(of id: UInt64) -> Int? { active.firstIndex { $0.transaction.id == id } }

  private mutating func complete(_ index: Int, needsReset: Bool) {
    completed.append(active[index].result)
    active.remove(at: index)
    if needsReset { self.needsReset = true }
  }

  /// 4yz and what should not come here: again later; 5yz: never (RFC 5321, 4.2.1). 503 speaks of the order of commands, not of the
  /// message: again later.
  static func refusal(_ reply: SMTPReply, at stage: SMTPClientStage) -> SMTPRecipientResult {
    let failure = SMTPClientFailure(stage: stage, reply: reply)
    return reply.isPermanent && reply.code != 503 ? .permanent(failure) : .transient(failure)
  }

  /// 452 or 552 for too many recipients (RFC 5321, 4.5.3.1.10), not for a full mailbox or disk.
  static func meansTooMany(_ reply: SMTPReply) -> Bool {
    guard reply.code == 452 || reply.code == 552 else { return false }
    guard let enhanced = reply.enhanced else { return reply.code == 452 }
    return enhanced.subject == 5 && enhanced.detail == 3
  }
}
