import NIOCore
import Outside
import SASL
import SMTP

/// Whole conversations, answered by rules that hang on the addresses. The first byte chooses dialect and proof, the rest is what the
/// client sends. What is said must be replies, must not hang on the cut, and without a proof no message may be accepted.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSMTPConversation(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  let choice = bytes.first ?? 0
  let client = Array(bytes.dropFirst())
  let service = choice & 1 == 0 ? Fuzzed.smtp : Fuzzed.lmtp
  if choice & 4 != 0 {
    // Who pipelines is told what stands behind each command; that hangs on the cut, so nothing is compared.
    var session = FuzzedSession<Bool>(service, proof: true)
    session.tellsWhatIsBehind = true
    session.send(client, pieces: [max(client.count, 1)])
    checkReplies(session.output)
    guard session.conversation.acceptedMessages == session.stored.count else { fatalError("accepted without being stored") }
    return 0
  }
  if choice & 2 == 0 {
    compare(FuzzedSession<Bool>(service, proof: true), client)
  } else {
    // No value of Never exists, so no message can be answered with 250.
    compare(FuzzedSession<Never>(service, proof: nil), client)
  }
  return 0
}

private func compare<Proof>(_ session: FuzzedSession<Proof>, _ client: [UInt8]) {
  var whole = session
  whole.send(client, pieces: [max(client.count, 1)])
  var cut = session
  cut.send(client, pieces: [1, 3, 20, 2, 70])
  guard whole.output == cut.output, whole.stored == cut.stored else { fatalError("the cut changes what is said") }
  checkReplies(whole.output)
  // The input is used up: a deadline or a shutdown comes.
  for step in [whole.conversation.shutdown(), cut.conversation.deadlinePassed(), cut.conversation.deadlinePassed()] {
    guard case .close = step else { fatalError("the conversation does not end") }
  }
  guard whole.conversation.acceptedMessages == whole.stored.count else { fatalError("accepted without being stored") }
}

private func checkReplies(_ output: ByteBuffer) {
  var parser = SMTPReplyParser()
  var said = output
  do {
    while try parser.next(from: &said) != nil {}
  } catch {
    fatalError("not a reply: \(error)")
  }
  guard said.readableBytes == 0, !parser.isInReply else { fatalError("an unfinished reply") }
}

private enum Fuzzed {
  static let smtp = service(.smtp)
  static let lmtp = service(.lmtp)

  static func service(_ dialect: SMTPDialect) -> SMTPService {
    var limits = SMTPLimits()
    limits.commandLine = 120
    limits.discardedLine = 400
    limits.messageSize = 500
    limits.overrun = 300
    limits.recipients = 4
    limits.badCommands = 1_000
    limits.idleCommands = 1_000
    return SMTPService(
      dialect: dialect, hostname: "mx.example.test", extensions: [.standard, .startTLS],
      authentication: .init(
        mechanisms: SASLMechanism.allCases, needsTLS: dialect == .lmtp, isRequired: false, makeNonce: { Array(0..<18) }),
      limits: limits)
  }
}

private struct FuzzedSession<Proof: Sendable> {
  var conversation: SMTPConversation<Proof>
  var parser: SMTPCommandParser
  var decoder: DataDecoder?
  var isClosed = false
  var tellsWhatIsBehind = false
  var input = ByteBuffer()
  var output = ByteBuffer()
  var content: [UInt8] = []
  var stored: [[UInt8]] = []
  let proof: Proof?

  init(_ service: SMTPService, proof: Proof?) {
    conversation = SMTPConversation(service, mayUseXCLIENT: true)
    parser = SMTPCommandParser(dialect: service.dialect, limits: service.limits)
    self.proof = proof
    perform(conversation.start())
  }

  mutating func send(_ bytes: [UInt8], pieces: [Int]) {
    var rest = bytes[...]
    var turn = 0
    while !rest.isEmpty, !isClosed {
      let piece = pieces[turn % pieces.count]
      turn += 1
      input.writeBytes(rest.prefix(piece))
      rest = rest.dropFirst(piece)
      while !isClosed, advance() {}
    }
  }

  /// False if more bytes are needed.
  private mutating func advance() -> Bool {
    guard var body = decoder else {
      guard var next = parser.next(from: &input) else { return false }
      // What stands behind a command hangs on the cut, so it is not told.
      if !tellsWhatIsBehind, case .command(let command, _) = next { next = .command(command, isLast: true) }
      perform(conversation.handle(next))
      return true
    }
    let gave = body.next(from: &input)
    decoder = body
    switch gave {
    case .bytes(let bytes): content += Array(buffer: bytes)
    case .needsInput: return false
    case .ended(let outcome):
      decoder = nil
      perform(conversation.received(outcome))
    }
    return true
  }

  private mutating func perform(_ first: SMTPStep) {
    var step = first
    while true {
      if !conversation.holdsBody { content = [] }
      switch step {
      case .proceed: return
      case .reply(let reply):
        reply.write(to: &output)
        return
      case .challenge(let reply):
        reply.write(to: &output)
        parser.expectsResponse = true
        return
      case .replies(let replies):
        for reply in replies { reply.write(to: &output) }
        return
      case .ask(let question): step = answer(question)
      case .receive(let reply, let body):
        reply?.write(to: &output)
        decoder = body
        return
      case .upgradeTLS(let reply):
        reply.write(to: &output)
        parser = SMTPCommandParser(dialect: conversation.service.dialect, limits: conversation.service.limits)
        step = conversation.tlsEstablished(TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384"))
      case .close(let replies):
        for reply in replies { reply.write(to: &output) }
        isClosed = true
        return
      }
    }
  }

  private mutating func answer(_ question: SMTPQuestion) -> SMTPStep {
    switch question {
    case .greeting, .xclient: return conversation.answer(.accept)
    case .authentication(.scramKeys(let user, let hash, _)):
      return conversation.answer(.scram(.imitation(of: user, secret: [1], hash: hash), mayAct: true))
    case .authentication(.password(_, let password, _)):
      return conversation.answer(.verdict(password == [0x70] ? .accepted : .rejected(.badCredentials)))
    case .authentication: return conversation.answer(.verdict(.rejected(.temporary)))
    case .sender(let sender): return conversation.answer(verdict(sender.envelope.reversePath?.localPart))
    case .recipient(let recipient): return conversation.answer(verdict(recipient.address.localPart))
    case .message(let message):
      guard UInt64(content.count) == message.outcome.octets else { fatalError("octets were lost") }
      guard let proof else { return conversation.answer(.accept) }
      stored.append(content)
      return conversation.stored(
        proof, note: "stored", refusals: message.recipients.map { $0.address.localPart == "f" ? SMTPReply(552, nil, "full") : nil })
    }
  }

  private func verdict(_ local: String?) -> SMTPVerdict {
    switch local {
    case "u": .refuse(SMTPReply(550, .init(.permanent, 1, 1), "No such user"))
    case "l": .refuse(SMTPReply(450, .init(.transient, 2, 1), "Later"))
    case "w": .refuse(SMTPReply(250, nil, "a refusal that says yes"))
    case "m": .tooMany
    case "x": .refuseAndClose(SMTPReply(550, nil, "Away"))
    default: .accept
    }
  }
}
