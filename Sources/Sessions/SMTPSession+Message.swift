import InternetMessage
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Reception
import SMTP

/// The message itself: taken in, judged, made durable.
extension SMTPSession {
  /// Runs the input through `decoder` until it ends.
  func receive(_ decoder: DataDecoder) async -> SMTPStep {
    var decoder = decoder
    if intake == nil, !decoder.isDiscarding { beginIntake() }
    let started = intake?.started ?? listener.clock.monotonic()
    let receivedBefore = intake?.receivedBefore ?? connection.bytesReceived
    while true {
      switch decoder.next(from: &connection.input) {
      case .bytes(let bytes):
        await intake?.take(bytes)
      case .needsInput:
        if decoder.isDiscarding { endIntake() }
        let step = await moreOfMessage(since: started, received: connection.bytesReceived &- receivedBefore)
        if let step { return step }
      case .ended(let outcome):
        let sender = sender
        let recipients = judged
        let step = conversation.received(outcome)
        noteUnfit(outcome, step, from: sender, to: recipients)
        if !conversation.holdsBody { endIntake() }
        return step
      }
    }
  }

  /// Waits for more of a message. Nil: it came.
  private func moreOfMessage(since started: MonotonicInstant, received: UInt64) async -> SMTPStep? {
    let now = listener.clock.monotonic()
    let limits = listener.limits
    let deadline = min(
      min(now.advanced(by: limits.data), started.advanced(by: limits.message)), limits.patience(since: started, received: received))
    switch await connection.receive(until: deadline) {
    case .data: return nil
    case .closed:
      return cutOff("the connection was lost", since: started, received) { _ in .close([]) }
    case .deadline:
      // Being shed ends the wait too; but it meant an idle session, which this is not any more.
      if connection.isShed, listener.clock.monotonic() < deadline { return nil }
      return cutOff(limits.words(since: started, received, at: listener.clock.monotonic()), since: started, received) {
        $0.deadlinePassed()
      }
    case .shutdown where listener.isDraining() && !endsSoon:
      endsSoon = true
      return nil
    case .shutdown:
      // A client that is told 421 in the middle of a message sends it again later; nothing of it was acknowledged (HOSTILE 66).
      return cutOff("the server was stopped", since: started, received) { $0.shutdown() }
    }
  }

  private func beginIntake() {
    intake = Intake(
      spool: listener.store.makeSpool(), limits: listener.limits.content, memory: listener.contentMemory, notes: listener.notes,
      client: client.addressText,
      started: listener.clock.monotonic(),
      // What stands in the input is of this message.
      receivedBefore: connection.bytesReceived &- UInt64(connection.input.readableBytes))
  }

  /// Gives up what was taken in, if it was not stored.
  func endIntake() {
    intake?.spool.discard()
    intake = nil
  }

  // MARK: Questions

  /// The step that the answer leads to; nil if it may take time.
  func answerAtOnce(_ question: SMTPQuestion) -> SMTPStep? {
    switch question {
    case .greeting:
      return conversation.answer(.accept)
    case .sender(let sender):
      judged = []
      targets = TargetCount(limit: listener.limits.targets)
      beginTransaction()
      declaredSize = sender.declaredSize.map { Int64(clamping: $0) }
      self.sender = sender.envelope.reversePath
      describeClient()
      guard let ticket, listener.overload.countMessage(from: ticket) else {
        noteRefusedSender(sender, Self.tooManyMessages, .load, reason: "too many messages a minute")
        return conversation.answer(.refuse(Self.tooManyMessages))
      }
      // What can't be kept need not be sent (RFC 1870, 6.1).
      if let refusal = listener.store.refusal {
        let reply = StoreReply.reply(to: refusal)
        noteRefusedSender(sender, reply, .store, reason: "\(refusal)")
        return conversation.answer(.refuse(reply))
      }
      let step = conversation.answer(listener.reception.judge(sender: sender, from: client))
      // Of the transaction, which has begun with the answer.
      client.protocolKeyword = conversation.protocolKeyword(isExtended: client.namedExtended)
      return step
    case .xclient(let attributes):
      return take(attributes)
    case .recipient, .message, .authentication: return nil
    }
  }

  func answer(_ question: SMTPQuestion) async -> SMTPStep {
    switch question {
    case .recipient(let recipient): await answer(recipient: recipient)
    case .message(let message): await store(message)
    case .authentication(let question): conversation.answer(await authenticate(question))
    case .greeting, .sender, .xclient: answerAtOnce(question) ?? conversation.answer(.refuse(StoreReply.reply(to: .closed)))
    }
  }

  private static let tooManyMessages = SMTPReply(
    450, EnhancedStatusCode(.transient, 7, 1), "Too many messages from your address this minute, try again later"
  ).prebuilt()

  private func answer(recipient: SMTPRecipient) async -> SMTPStep {
    switch listener.reception.judge(recipient: recipient, from: client) {
    case .accept(let judgement):
      if await listener.fullMailboxes.isFull(judgement, size: declaredSize, store: listener.store) {
        let reply = StoreReply.mailboxFull
        noteRefusal(reply, .mailbox, reason: "over quota", recipient: recipient)
        return conversation.answer(.refuse(reply))
      }
      switch targets.add(judgement, to: judged) {
      case .fits:
        judged.append(judgement)
        return conversation.answer(.accept)
      case .tooManyTogether:
        let step = conversation.answer(.tooMany)
        noteCrowded(recipient.address, step, reason: "too many targets in one transaction")
        return step
      case .tooManyAlone:
        let reply = Reception.tooManyTargets(recipient.address)
        noteRefusal(reply, .rules, reason: Reception.tooManyTargetsReason, recipient: recipient)
        return conversation.answer(.refuse(reply))
      }
    case .refuse(let reply, let reason):
      noteRefusal(reply, .rules, reason: reason, recipient: recipient)
      return conversation.answer(.refuse(reply))
    }
  }

  // MARK: Storing

  /// Judges the message and makes it durable; the only way to its `250` is a receipt.
  private func store(_ message: SMTPMessage) async -> SMTPStep {
    guard let intake else { return conversation.answer(.refuse(StoreReply.reply(to: .closed))) }
    defer {
      self.intake = nil
      endTransaction()
    }
    if let failure = intake.failure { return refuse(message, .store(failure)) }
    let id = listener.store.makeQueueID()
    guard let observed = intake.observation() else {
      intake.spool.discard()
      return refuse(message, .store(.unavailable("in quarantine after two crashes")))
    }
    let verdict = listener.reception.judge(message: message, recipients: judged, observed: observed, client: client, id: id)
    guard case .accept(let acceptance) = verdict else {
      intake.spool.discard()
      guard case .refuse(let reply, let reason) = verdict else { return .close([]) }
      return refuse(message, reply, .rules, reason: reason, id: id, observed)
    }
    let body: SpooledBody
    do throws(StoreError) { body = try await intake.spool.finish() } catch {
      intake.spool.discard()
      return refuse(message, .store(error), id: id, observed)
    }
    do throws(StoringProblem) {
      let store = listener.store
      let stored = try await listener.reception.store(
        acceptance, for: judged, listener.service.dialect, remembering: listener.fullMailboxes
      ) { acceptance throws(StoreError) in try await store.accept(acceptance, body: body, claiming: true) }
      handOver(stored.proof, acceptance: stored.acceptance, body: body)
      log(stored.acceptance, message, size: body.size)
      return conversation.stored(stored.proof, note: "queued as \(id)", refusals: refusals(of: stored))
    } catch {
      intake.spool.discard()
      return refuse(message, error, id: id, observed)
    }
  }

  /// By recipient, in LMTP.
  private func refusals(of stored: StoredMessage<Receipt>) -> [SMTPReply?] {
    guard !stored.refused.isEmpty else { return [] }
    var refusals = [SMTPReply?](repeating: nil, count: judged.count)
    for place in stored.refused where refusals.indices.contains(place) { refusals[place] = StoreReply.mailboxFull }
    return refusals
  }

  private func handOver(_ receipt: Receipt, acceptance: Acceptance, body: SpooledBody) {
    guard !receipt.isRepeated, let queued = receipt.queued, !queued.entries.isEmpty else { return }
    guard case .memory(let bytes) = body.place else { return listener.outbound.submit(queued, bytes: nil) }
    var whole = ByteBuffer()
    whole.reserveCapacity(acceptance.prefix.count + bytes.readableBytes)
    whole.writeBytes(acceptance.prefix)
    whole.writeImmutableBuffer(bytes)
    listener.outbound.submit(queued, bytes: whole)
  }

  private func log(_ acceptance: Acceptance, _ message: SMTPMessage, size: Int) {
    guard listener.log.logLevel <= .info else { return }
    var metadata: Logger.Metadata = [
      "id": .string(acceptance.id.description), "client": .string(client.addressText), "helo": .string(client.heloName),
      "from": .string(acceptance.envelope.reversePath?.wire ?? "<>"), "to": .string(Self.listed(message.recipients.map(\.address))),
      "size": .string(String(size)), "local": .string(String(acceptance.deliveries.count)),
      "queued": .string(String(acceptance.recipients.count)),
    ]
    if let tls = client.tls { metadata["tls"] = .string(tls.version) }
    listener.log.info("accepted", metadata: metadata)
  }

  /// The first ten recipients as they were given, and how many more there are.
  static func listed(_ recipients: [EmailAddress]) -> String {
    guard recipients.count > 1 else { return recipients.first?.wire ?? "" }
    var text = ""
    for recipient in recipients.prefix(10) {
      if !text.isEmpty { text += " " }
      text += recipient.wire
    }
    if recipients.count > 10 { text += " and \(recipients.count - 10) more" }
    return text
  }
}
