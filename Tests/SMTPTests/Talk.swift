import InternetMessage
import MailModel
import NIOCore
import Outside
import SASL

@testable import SMTP

/// A proof of storage for tests.
struct Stored: Sendable {}

/// A session in miniature: feeds bytes to a conversation, answers its questions by simple rules, keeps what was said.
///
/// Local parts decide: `unknown...` 550, `later...` 450, `away...` 550 and close, `full...` accepted at RCPT and refused after the message,
/// `wrong...` answered with a 250 as refusal. Everything else is accepted.
struct Talk {
  enum State {
    case commands
    case body(DataDecoder)
    case closed
  }

  var conversation: SMTPConversation<Stored>
  var parser: SMTPCommandParser
  var state = State.commands
  var input = ByteBuffer()
  var output = ByteBuffer()
  /// Messages stored: sender, recipients, content.
  var messages: [(message: SMTPMessage, content: String)] = []
  var content = ByteBuffer()
  var questions: [SMTPQuestion] = []
  var steps = 0
  var handshakes = 0
  /// Commands, or lines that are none, that were handed to the conversation.
  var inputs = 0
  var greeting = SMTPVerdict.accept
  var messageVerdict = SMTPVerdict.accept
  /// Each command is told that nothing stands behind it.
  var everythingIsLast = false

  init(
    _ dialect: SMTPDialect = .smtp, extensions: SMTPService.Extensions = [.standard, .startTLS], limits: SMTPLimits = .init(),
    tls: TLSFacts? = nil, mayUseXCLIENT: Bool = false, greeting: SMTPVerdict = .accept
  ) {
    let service = SMTPService(dialect: dialect, hostname: "mx.example.test", extensions: extensions, limits: limits)
    self.init(service, tls: tls, mayUseXCLIENT: mayUseXCLIENT, greeting: greeting)
  }

  init(_ service: SMTPService, tls: TLSFacts? = nil, mayUseXCLIENT: Bool = false, greeting: SMTPVerdict = .accept) {
    conversation = SMTPConversation(service, tls: tls, mayUseXCLIENT: mayUseXCLIENT)
    parser = SMTPCommandParser(dialect: service.dialect, limits: service.limits)
    self.greeting = greeting
    perform(conversation.start())
  }

  static let facts = TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")

  /// Everything said so far, as text; forgotten after.
  mutating func said() -> String {
    defer { output.clear() }
    return String(buffer: output)
  }

  /// Sends bytes and gives what is said to them.
  @discardableResult
  mutating func send(_ text: String) -> String { send(Array(text.utf8)) }

  @discardableResult
  mutating func send(_ bytes: [UInt8]) -> String {
    _ = said()
    push(bytes)
    return said()
  }

  /// Sends lines one after another and gives the codes of the replies to each.
  mutating func codes(_ lines: String...) -> [String] { lines.map { Self.codes(send($0 + "\r\n")) } }

  /// The codes of the last lines of replies, joined by a comma.
  static func codes(_ text: String) -> String {
    text.split(separator: "\r\n", omittingEmptySubsequences: true).filter { $0.dropFirst(3).first != "-" }.map { $0.prefix(3) }
      .joined(separator: ",")
  }

  mutating func push(_ bytes: [UInt8]) {
    input.writeBytes(bytes)
    while true {
      switch state {
      case .closed: return
      case .commands:
        guard var next = parser.next(from: &input) else { return }
        if case .command(let command, let isLast) = next { next = .command(command, isLast: isLast || everythingIsLast) }
        inputs += 1
        perform(conversation.handle(next))
      case .body(var decoder):
        let gave = decoder.next(from: &input)
        state = .body(decoder)
        switch gave {
        case .bytes(var bytes): content.writeBuffer(&bytes)
        case .needsInput: return
        case .ended(let outcome):
          state = .commands
          perform(conversation.received(outcome))
        }
      }
    }
  }

  mutating func perform(_ first: SMTPStep) {
    var step = first
    while true {
      steps += 1
      if !conversation.holdsBody { content.clear() }
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
      case .ask(let question):
        questions.append(question)
        step = answer(question)
      case .receive(let reply, let decoder):
        reply?.write(to: &output)
        state = .body(decoder)
        return
      case .upgradeTLS(let reply):
        reply.write(to: &output)
        handshakes += 1
        parser = SMTPCommandParser(dialect: conversation.service.dialect, limits: conversation.service.limits)
        step = input.readableBytes == 0 || everythingIsLast ? conversation.tlsEstablished(Self.facts) : conversation.tlsFailed()
      case .close(let replies):
        for reply in replies { reply.write(to: &output) }
        state = .closed
        return
      }
    }
  }

  private mutating func answer(_ question: SMTPQuestion) -> SMTPStep {
    switch question {
    case .greeting, .xclient: return conversation.answer(greeting)
    case .authentication(let question): return conversation.answer(answer(question))
    case .sender(let sender): return conversation.answer(verdict(sender.envelope.reversePath))
    case .recipient(let recipient): return conversation.answer(verdict(recipient.address))
    case .message(let message):
      guard messageVerdict == .accept else { return conversation.answer(messageVerdict) }
      messages.append((message, String(buffer: content)))
      let refusals = message.recipients.map { recipient in
        recipient.address.localPart.hasPrefix("full") ? SMTPReply(552, .init(.permanent, 2, 2), "Mailbox full") : nil
      }
      return conversation.stored(Stored(), note: "stored", refusals: refusals)
    }
  }

  /// `tim`, whose password and token are `secret`, may act as `tom` too; `away` can't be asked about.
  private func answer(_ question: SASLQuestion) -> SASLAnswer {
    func verdict(_ user: String?, _ secret: [UInt8], _ actsAs: String?) -> SASLAnswer {
      if user == "away" { return .verdict(.rejected(.temporary)) }
      guard user == "tim", secret == Array("secret".utf8) else { return .verdict(.rejected(.badCredentials)) }
      return .verdict(actsAs == nil || actsAs == "tom" ? .accepted : .rejected(.notAuthorized))
    }
    switch question {
    case .password(let user, let password, let actsAs): return verdict(user, password, actsAs)
    case .token(let user, let token): return verdict(user ?? "tim", token, nil)
    case .scramKeys(_, let hash, _):
      guard let keys = ScramKeys.derive(from: Array("secret".utf8), salt: [1], iterations: 1, hash: hash) else {
        return .verdict(.rejected(.temporary))
      }
      return .scram(keys, mayAct: true)
    case .certificate: return .verdict(.rejected(.badCredentials))
    }
  }

  private func verdict(_ address: EmailAddress?) -> SMTPVerdict {
    guard let local = address?.localPart else { return .accept }
    if local.hasPrefix("unknown") { return .refuse(SMTPReply(550, .init(.permanent, 1, 1), "No such user")) }
    if local.hasPrefix("many") { return .tooMany }
    if local.hasPrefix("later") { return .refuse(SMTPReply(450, .init(.transient, 2, 1), "Later")) }
    if local.hasPrefix("away") { return .refuseAndClose(SMTPReply(550, .init(.permanent, 7, 1), "Away")) }
    if local.hasPrefix("wrong") { return .refuse(SMTPReply(250, .init(.success, 0, 0), "No")) }
    return .accept
  }

  var isClosed: Bool {
    if case .closed = state { return true }
    return false
  }
}
