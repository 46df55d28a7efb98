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
        let step = conversation.received(outcome)
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
    case .deadline: return conversation.deadlinePassed()
    case .shutdown:
      // A client that is told 421 in the middle of a message sends it again later; nothing of it was acknowledged (HOSTILE 66).
      let step = conversation.shutdown()
      if case .proceed = step { return nil }
      return step
    }
  }

  private func beginIntake() {
    intake = Intake(
      spool: listener.store.makeSpool(), limits: listener.limits.content, notes: listener.notes, client: client.addressText,
      started: listener.clock.monotonic(),
      receivedBefore: connection.bytesReceived)
  }

  /// Gives up what was taken in, if it was not stored.
  func endIntake() {
    intake?.spool.discard()
    intake = nil
  }

  // MARK: Questions

  func answer(_ question: SMTPQuestion) async -> SMTPStep {
    switch question {
    case .greeting:
      return conversation.answer(.accept)
    case .sender(let sender):
      judged = []
      beginTransaction()
      declaredSize = sender.declaredSize.map { Int64(clamping: $0) }
      client.heloName = conversation.clientName ?? ""
      guard let ticket, listener.overload.countMessage(from: ticket) else {
        return conversation.answer(.refuse(Self.tooManyMessages))
      }
      return conversation.answer(listener.reception.judge(sender: sender, from: client))
    case .recipient(let recipient):
      return await answer(recipient: recipient)
    case .message(let message):
      return await store(message)
    case .xclient(let attributes):
      client = listener.reception.client(client, taking: attributes)
      judged = []
      return conversation.answer(.accept)
    }
  }

  private static let tooManyMessages = SMTPReply(
    450, EnhancedStatusCode(.transient, 7, 1), "Too many messages from your address this minute, try again later"
  ).prebuilt()

  private func answer(recipient: SMTPRecipient) async -> SMTPStep {
    switch listener.reception.judge(recipient: recipient, from: client) {
    case .accept(let judgement):
      if await listener.fullMailboxes.isFull(judgement, size: declaredSize, store: listener.store) {
        let reply = StoreReply.reply(to: .overQuota(judgement.local.first?.account ?? AccountID(rawValue: 0)))
        noteRefusal(reply, reason: "over quota", recipient: recipient)
        return conversation.answer(.refuse(reply))
      }
      judged.append(judgement)
      return conversation.answer(.accept)
    case .refuse(let reply, let reason):
      noteRefusal(reply, reason: reason, recipient: recipient)
      return conversation.answer(.refuse(reply))
    }
  }

  private func noteRefusal(_ reply: SMTPReply, reason: String, recipient: SMTPRecipient) {
    let event = listener.reception.refusal(of: recipient.address, reply: reply, reason: reason, client: client)
    listener.store.note(listener.store.makeQueueID(), [event])
    listener.log.notice(
      "recipient refused",
      metadata: ["client": "\(client.addressText)", "to": "\(recipient.address)", "reply": "\(reply)", "reason": "\(reason)"])
  }

  // MARK: Storing

  /// Judges the message and makes it durable; the only way to its `250` is a receipt.
  private func store(_ message: SMTPMessage) async -> SMTPStep {
    guard let intake else { return conversation.answer(.refuse(StoreReply.reply(to: .closed))) }
    defer {
      self.intake = nil
      endTransaction()
    }
    if let failure = intake.failure { return refuseMessage(StoreReply.reply(to: failure), reason: "\(failure)") }
    let id = listener.store.makeQueueID()
    client.protocolKeyword = conversation.protocolKeyword
    guard let observed = intake.observation() else {
      intake.spool.discard()
      return refuseMessage(StoreReply.reply(to: .unavailable("quarantine")), reason: "in quarantine after two crashes")
    }
    let verdict = listener.reception.judge(message: message, recipients: judged, observed: observed, client: client, id: id)
    guard case .accept(let acceptance) = verdict else {
      intake.spool.discard()
      guard case .refuse(let reply, let reason) = verdict else { return .close([]) }
      listener.store.note(id, [listener.reception.refusal(of: message, reply: reply, reason: reason, client: client)])
      return refuseMessage(reply, reason: reason)
    }
    do throws(StoreError) {
      let body = try await intake.spool.finish()
      let (receipt, refusals) = try await accept(acceptance, body: body)
      handOver(receipt, acceptance: acceptance, body: body)
      log(acceptance, size: body.size)
      return conversation.stored(receipt, note: "queued as \(id)", refusals: refusals)
    } catch {
      intake.spool.discard()
      var reply = StoreReply.reply(to: error)
      if case .overQuota(let account) = error { reply = refuseOverQuota(account, size: intake.spool.size, in: acceptance) }
      return refuseMessage(reply, reason: "\(error)")
    }
  }

  private func refuseMessage(_ reply: SMTPReply, reason: String) -> SMTPStep {
    listener.log.notice(
      "message refused", metadata: ["client": "\(client.addressText)", "reply": "\(reply)", "reason": "\(reason)"])
    return conversation.answer(.refuse(reply))
  }

  /// Stores; in LMTP, which has a reply for each recipient, without the accounts that turn out to be over their quota (RFC 2033, 4.2).
  private func accept(
    _ acceptance: Acceptance, body: SpooledBody
  ) async throws(StoreError) -> (Receipt, [SMTPReply?]) {
    var acceptance = acceptance
    var refusals = [SMTPReply?](repeating: nil, count: judged.count)
    while true {
      do throws(StoreError) {
        return (try await listener.store.accept(acceptance, body: body, claiming: true), refusals)
      } catch {
        guard listener.service.dialect == .lmtp, case .overQuota(let account) = error,
          let reduced = listener.reception.without(account, in: acceptance, of: judged)
        else { throw error }
        for index in reduced.refused where refusals.indices.contains(index) { refusals[index] = StoreReply.reply(to: error) }
        acceptance = reduced.acceptance
      }
    }
  }

  /// A mailbox is full. Alone it is refused for good; among others the message is put off until its RCPT is refused alone.
  private func refuseOverQuota(_ account: AccountID, size: Int, in acceptance: Acceptance) -> SMTPReply {
    guard listener.reception.without(account, in: acceptance, of: judged) != nil else {
      return StoreReply.reply(to: .overQuota(account))
    }
    listener.fullMailboxes.remember(account, size: Int64(size))
    return SMTPReply(452, EnhancedStatusCode(.transient, 2, 2), "One of the mailboxes is full, try again for the others")
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

  private func log(_ acceptance: Acceptance, size: Int) {
    listener.log.info(
      "accepted",
      metadata: [
        "id": "\(acceptance.id)", "client": "\(client.addressText)",
        "from": "\(acceptance.envelope.reversePath.map(\.description) ?? "<>")", "size": "\(size)",
        "local": "\(acceptance.deliveries.count)", "queued": "\(acceptance.recipients.count)",
      ])
  }
}

/// The one place where a store's refusal becomes an SMTP reply.
enum StoreReply {
  static func reply(to error: StoreError) -> SMTPReply {
    switch error {
    case .full: SMTPReply(452, EnhancedStatusCode(.transient, 3, 1), "Insufficient system storage, try again later")
    case .overQuota: SMTPReply(552, EnhancedStatusCode(.permanent, 2, 2), "Mailbox is full")
    case .invalid(let what): SMTPReply(554, EnhancedStatusCode(.permanent, 6, 0), "Message can't be stored: \(what)")
    case .notFound: SMTPReply(451, EnhancedStatusCode(.transient, 2, 1), "A mailbox changed meanwhile, try again")
    case .exists, .notEmpty, .stale, .damaged, .unavailable:
      SMTPReply(451, EnhancedStatusCode(.transient, 3, 0), "Message was not stored, try again later")
    case .closed: SMTPReply(421, EnhancedStatusCode(.transient, 3, 2), "Server is shutting down, try again later")
    }
  }
}
