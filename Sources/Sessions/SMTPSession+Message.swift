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
    case .closed: return .close([])
    case .deadline:
      // Being shed ends the wait too; but it meant an idle session, which this is not any more.
      if connection.isShed, listener.clock.monotonic() < deadline { return nil }
      return conversation.deadlinePassed()
    case .shutdown where listener.isDraining() && !endsSoon:
      endsSoon = true
      return nil
    case .shutdown:
      // A client that is told 421 in the middle of a message sends it again later; nothing of it was acknowledged (HOSTILE 66).
      let step = conversation.shutdown()
      if case .proceed = step { return nil }
      return step
    }
  }

  private func beginIntake() {
    intake = Intake(
      spool: listener.store.makeSpool(), limits: listener.limits.content, memory: listener.contentMemory, notes: listener.notes,
      client: client.addressText,
      started: listener.clock.monotonic(),
      receivedBefore: connection.bytesReceived)
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
      client.heloName = client.namedHelo ?? conversation.clientName ?? ""
      guard let ticket, listener.overload.countMessage(from: ticket) else {
        note(
          Refusal(.mail, sender: self.sender, recipients: [], reply: Self.tooManyMessages, reason: "too many messages a minute"))
        return conversation.answer(.refuse(Self.tooManyMessages))
      }
      // What can't be kept need not be sent (RFC 1870, 6.1).
      if let refusal = listener.store.refusal {
        let reply = StoreReply.reply(to: refusal)
        note(Refusal(.mail, sender: self.sender, recipients: [], reply: reply, reason: "\(refusal)"))
        return conversation.answer(.refuse(reply))
      }
      let step = conversation.answer(listener.reception.judge(sender: sender, from: client))
      // Of the transaction, which has begun with the answer.
      client.protocolKeyword = conversation.protocolKeyword(isExtended: client.namedExtended)
      return step
    case .xclient(let attributes):
      return take(attributes)
    case .recipient, .message: return nil
    }
  }

  func answer(_ question: SMTPQuestion) async -> SMTPStep {
    switch question {
    case .recipient(let recipient): await answer(recipient: recipient)
    case .message(let message): await store(message)
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
        noteRefusal(reply, reason: "over quota", recipient: recipient)
        return conversation.answer(.refuse(reply))
      }
      switch targets.add(judgement, to: judged) {
      case .fits:
        judged.append(judgement)
        return conversation.answer(.accept)
      case .tooManyTogether:
        return conversation.answer(.tooMany)
      case .tooManyAlone:
        let reply = Reception.tooManyTargets(recipient.address)
        noteRefusal(reply, reason: Reception.tooManyTargetsReason, recipient: recipient)
        return conversation.answer(.refuse(reply))
      }
    case .refuse(let reply, let reason):
      noteRefusal(reply, reason: reason, recipient: recipient)
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
    if let failure = intake.failure { return refuse(message, StoreReply.reply(to: failure), reason: "\(failure)") }
    let id = listener.store.makeQueueID()
    guard let observed = intake.observation() else {
      intake.spool.discard()
      return refuse(message, StoreReply.reply(to: .unavailable("quarantine")), reason: "in quarantine after two crashes")
    }
    let verdict = listener.reception.judge(message: message, recipients: judged, observed: observed, client: client, id: id)
    guard case .accept(let acceptance) = verdict else {
      intake.spool.discard()
      guard case .refuse(let reply, let reason) = verdict else { return .close([]) }
      return refuse(message, reply, reason: reason, id: id, observed)
    }
    let body: SpooledBody
    do throws(StoreError) { body = try await intake.spool.finish() } catch {
      intake.spool.discard()
      return refuse(message, StoreReply.reply(to: error), reason: "\(error)", id: id, observed)
    }
    do throws(StoringProblem) {
      let stored = try await accept(acceptance, body: body)
      handOver(stored.receipt, acceptance: stored.acceptance, body: body)
      log(stored.acceptance, message, size: body.size)
      return conversation.stored(stored.receipt, note: "queued as \(id)", refusals: stored.refusals)
    } catch {
      intake.spool.discard()
      switch error {
      case .store(let error): return refuse(message, StoreReply.reply(to: error), reason: "\(error)", id: id, observed)
      case .someAreFull: return refuse(message, Self.someAreFull, reason: "a mailbox is full, others are not", id: id, observed)
      }
    }
  }

  private static let someAreFull = SMTPReply(
    452, EnhancedStatusCode(.transient, 2, 2), "One of the mailboxes is full, try again for the others"
  ).prebuilt()

  /// What was stored of a message.
  private struct Stored {
    var receipt: Receipt
    /// As it was stored in the end.
    var acceptance: Acceptance
    /// LMTP: by recipient.
    var refusals: [SMTPReply?]
  }

  /// Why nothing was stored.
  private enum StoringProblem: Error {
    case store(StoreError)
    /// Recipients with full mailboxes, among others.
    case someAreFull
  }

  /// Stores. Mailboxes that turn out to be full are left out: what a list loses by that waits in the queue, a recipient of its own is
  /// refused; in LMTP alone (RFC 2033, 4.2), in SMTP with all others, but only once (`FullMailboxes`).
  private func accept(_ planned: Acceptance, body: SpooledBody) async throws(StoringProblem) -> Stored {
    var acceptance = planned
    var refusals = [SMTPReply?](repeating: nil, count: judged.count)
    var full: Set<AccountID> = []
    var isQueueing = false
    while true {
      do throws(StoreError) {
        let receipt = try await listener.store.accept(acceptance, body: body, claiming: true)
        return Stored(receipt: receipt, acceptance: acceptance, refusals: refusals)
      } catch {
        guard case .overQuota(let account) = error, full.insert(account).inserted else { throw .store(error) }
        var reduced = listener.reception.reduced(planned, of: judged, without: full, isQueueing: isQueueing)
        if reduced.refused.count == judged.count { throw .store(error) }
        if !reduced.refused.isEmpty {
          if listener.service.dialect == .lmtp {
            for place in reduced.refused where refusals.indices.contains(place) { refusals[place] = StoreReply.reply(to: error) }
          } else {
            let accounts = reduced.refused.flatMap { judged[$0].local.map(\.account) }
            guard listener.fullMailboxes.remember(Set(accounts)) else { throw .someAreFull }
            isQueueing = true
            reduced = listener.reception.reduced(planned, of: judged, without: full, isQueueing: true)
          }
        }
        acceptance = reduced.acceptance
      }
    }
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
      "from": .string(acceptance.envelope.reversePath?.wire ?? "<>"), "to": .string(Self.listed(message.recipients)),
      "size": .string(String(size)), "local": .string(String(acceptance.deliveries.count)),
      "queued": .string(String(acceptance.recipients.count)),
    ]
    if let tls = client.tls { metadata["tls"] = .string(tls.version) }
    listener.log.info("accepted", metadata: metadata)
  }

  /// The first ten recipients as they were given, and how many more there are.
  static func listed(_ recipients: [SMTPRecipient]) -> String {
    guard recipients.count > 1 else { return recipients.first?.address.wire ?? "" }
    var text = ""
    for recipient in recipients.prefix(10) {
      if !text.isEmpty { text += " " }
      text += recipient.address.wire
    }
    if recipients.count > 10 { text += " and \(recipients.count - 10) more" }
    return text
  }
}

/// The one place where a store's refusal becomes an SMTP reply.
enum StoreReply {
  static let mailboxFull = SMTPReply(552, EnhancedStatusCode(.permanent, 2, 2), "Mailbox is full").prebuilt()

  static func reply(to error: StoreError) -> SMTPReply {
    switch error {
    case .full: SMTPReply(452, EnhancedStatusCode(.transient, 3, 1), "Insufficient system storage, try again later")
    case .overQuota: mailboxFull
    case .invalid(let what): SMTPReply(554, EnhancedStatusCode(.permanent, 6, 0), "Message can't be stored: \(what)")
    case .notFound: SMTPReply(451, EnhancedStatusCode(.transient, 2, 1), "A mailbox changed meanwhile, try again")
    case .exists, .notEmpty, .stale, .damaged, .unavailable:
      SMTPReply(451, EnhancedStatusCode(.transient, 3, 0), "Message was not stored, try again later")
    case .closed: SMTPReply(421, EnhancedStatusCode(.transient, 3, 2), "Server is shutting down, try again later")
    }
  }
}
