import NIOCore
import Outside
import SMTP

/// Whatever is sent, in whatever order: the conversation ends or asks for more, and with no proof of storage nothing is ever accepted.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let service = first & 1 == 0 ? clear : lmtp
  var talk = Talk(
    SMTPConversation<Never>(service, mayUseXCLIENT: first & 2 != 0),
    SMTPCommandParser(dialect: service.dialect, limits: service.limits))
  talk.answers = first >> 2
  talk.run(ByteBuffer(bytes: bytes.dropFirst()))
  guard talk.conversation.acceptedMessages == 0 else { fatalError("a message was accepted without proof of storage") }
  return 0
}

private let clear = SMTPService(dialect: .smtp, hostname: "mx.example.test", extensions: [.standard, .startTLS], limits: limits)
private let lmtp = SMTPService(dialect: .lmtp, hostname: "mx.example.test", limits: limits)
private var limits: SMTPLimits {
  var limits = SMTPLimits()
  limits.commandLine = 512
  limits.recipients = 3
  limits.messages = 3
  return limits
}

/// A session without a world: answers each question by the next bit of `answers`.
private struct Talk {
  var conversation: SMTPConversation<Never>
  var parser: SMTPCommandParser
  var answers: UInt8 = 0
  var decoder: DataDecoder?

  init(_ conversation: SMTPConversation<Never>, _ parser: SMTPCommandParser) {
    self.conversation = conversation
    self.parser = parser
  }

  mutating func verdict() -> SMTPVerdict {
    answers = answers &* 5 &+ 1
    switch answers % 8 {
    case 0: return .refuse(SMTPReply(550, nil, "no"))
    case 1: return .refuseAndClose(SMTPReply(421, nil, "no"))
    default: return .accept
    }
  }

  mutating func run(_ text: ByteBuffer) {
    var input = text
    var step = conversation.start()
    while true {
      switch step {
      case .close: return
      case .ask: step = conversation.answer(verdict())
      case .receive(_, let decoder):
        guard let outcome = receive(decoder, &input) else { return end() }
        step = conversation.received(outcome)
      case .upgradeTLS:
        step =
          answers & 1 == 0
          ? conversation.tlsEstablished(TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")) : conversation.tlsFailed()
      case .proceed, .reply, .replies:
        guard let next = parser.next(from: &input) else { return end() }
        step = conversation.handle(next)
      }
    }
  }

  private func receive(_ decoder: DataDecoder, _ input: inout ByteBuffer) -> DataOutcome? {
    var decoder = decoder
    while true {
      switch decoder.next(from: &input) {
      case .bytes: continue
      case .needsInput: return nil
      case .ended(let outcome): return outcome
      }
    }
  }

  /// The input is used up: the deadline or the shutdown comes.
  private mutating func end() {
    _ = answers & 1 == 0 ? conversation.deadlinePassed() : conversation.shutdown()
    _ = conversation.protocolKeyword
  }
}
