import Configuration
import Identity
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Reception
import Routing
import SMTP
import Sessions

/// The decisions of one configuration without their consequences: the server's own conversation, reception and router, on the accounts and
/// aliases as they are now. Nothing is stored, nothing sent.
struct Decisions: Sendable {
  let configuration: Configuration
  let reception: Reception
  let router: Router
  private let service: SMTPService
  /// Where a client would have connected.
  let local: Endpoint
  private let clock: any Clock

  init(_ configuration: Configuration, directory: DirectoryContents, resolver: any Resolver, clock: any Clock) throws(AdminFailure)
  {
    self.configuration = configuration
    self.clock = clock
    let snapshot = DirectorySnapshot(directory, settings: DirectorySettings(configuration.directory))
    reception = Reception(policy: Settings.reception(configuration), directory: DirectoryHolder(snapshot), clock: clock)
    let table: RouteTable
    do { table = try RouteTable(configuration.routes) } catch { throw AdminFailure("\(error)", exitCode: 78) }
    router = Router(
      settings: Settings.router(configuration, table: table, addresses: configuration.listeners.map(\.address)), resolver: resolver,
      random: SystemRandom())
    let listener =
      configuration.listeners.first { $0.service == .smtp }
      ?? Configuration.Listener(service: .smtp, address: Endpoint("127.0.0.1:25") ?? .unix(path: ""), security: .none)
    service = Settings.service(listener, configuration, offersTLS: configuration.tls != nil)
    local = listener.address
  }

  /// What a transaction came to.
  struct Course {
    struct Recipient {
      var address: EmailAddress
      /// Nil: taken.
      var refusal: SMTPReply?
      /// Why it was taken or not.
      var reason: String
      var judged: JudgedRecipient?
    }

    /// The refusal of MAIL, if it was.
    var senderRefusal: SMTPReply?
    var recipients: [Recipient] = []
    /// The refusal of the message, and why.
    var messageRefusal: (reply: SMTPReply, reason: String)?
    /// What would be stored.
    var acceptance: Acceptance?
    var observation: MessageObservation?
  }

  /// Goes through a transaction as a session would, up to the point where the message would be stored.
  ///
  /// - Parameters:
  ///   - message: its lines, ended in any way; nil asks no further than the recipients, and takes it for empty.
  ///   - size: its whole size, of which `message` may be the beginning.
  func course(of client: Client, sender: EmailAddress?, recipients: [EmailAddress], message: [UInt8]?, size: UInt64?) -> Course {
    var course = Course()
    var conversation = SMTPConversation<Receipt>(service)
    conversation.isTrusted = client.isTrusted
    _ = conversation.start()
    _ = conversation.answer(.accept)
    _ = conversation.handle(.command(.ehlo(client.heloName), isLast: true))
    var envelope = Envelope(reversePath: sender, bodyType: .eightBitMIME)
    envelope.isInternationalized = ([sender].compactMap { $0 } + recipients).contains(where: \.needsUTF8)
    let path = SMTPSender(envelope: envelope, declaredSize: size)
    var step = conversation.handle(.command(.mail(path), isLast: true))
    if case .ask(.sender(let sender)) = step { step = conversation.answer(reception.judge(sender: sender, from: client)) }
    if let refusal = step.firstReply, refusal.code >= 400 {
      course.senderRefusal = refusal
      return course
    }
    for address in recipients { course.recipients.append(recipient(address, client, &conversation)) }
    let judged = course.recipients.compactMap(\.judged)
    guard !judged.isEmpty else { return course }
    step = conversation.handle(.command(.data, isLast: true))
    guard case .receive(_, let decoder) = step else {
      course.messageRefusal = step.firstReply.map { ($0, "DATA is refused") }
      return course
    }
    finish(&course, decoder, message ?? [], judged, client, &conversation)
    return course
  }

  private func recipient(
    _ address: EmailAddress, _ client: Client, _ conversation: inout SMTPConversation<Receipt>
  ) -> Course.Recipient {
    var answer = Course.Recipient(address: address, refusal: nil, reason: "")
    var step = conversation.handle(.command(.rcpt(SMTPRecipient(address: address)), isLast: true))
    if case .ask(.recipient(let recipient)) = step {
      switch reception.judge(recipient: recipient, from: client) {
      case .accept(let judged):
        answer.judged = judged
        answer.reason = judged.explanation
        step = conversation.answer(.accept)
      case .refuse(let reply, let reason):
        answer.reason = reason
        step = conversation.answer(.refuse(reply))
      }
    }
    if let reply = step.firstReply, reply.code >= 400 {
      answer.refusal = reply
      answer.judged = nil
      if answer.reason.isEmpty { answer.reason = "by the rules of the transaction" }
    }
    return answer
  }

  private func finish(
    _ course: inout Course, _ decoder: DataDecoder, _ message: [UInt8], _ judged: [JudgedRecipient], _ client: Client,
    _ conversation: inout SMTPConversation<Receipt>
  ) {
    var decoder = decoder
    var input = Self.stuffed(message)
    var observer = MessageObserver(limits: Settings.session(configuration).content)
    var outcome = DataOutcome()
    reading: while true {
      switch decoder.next(from: &input) {
      case .bytes(let bytes): observer.observe(bytes)
      case .needsInput: break reading
      case .ended(let end):
        outcome = end
        break reading
      }
    }
    let observed = observer.finish()
    course.observation = observed
    let step = conversation.received(outcome)
    guard case .ask(.message(let taken)) = step else {
      course.messageRefusal = step.firstReply.map { ($0, "the body is unfit") }
      return
    }
    let id = QueueID(at: clock.now(), randomness: 0)
    switch reception.judge(message: taken, recipients: judged, observed: observed, client: client, id: id) {
    case .accept(let acceptance): course.acceptance = acceptance
    case .refuse(let reply, let reason): course.messageRefusal = (reply, reason)
    }
  }

  /// The message as it goes over DATA (RFC 5321, 4.5.2), its lines ended by CRLF.
  private static func stuffed(_ message: [UInt8]) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(message.count + message.count / 32 + 8)
    var lines = message.split(separator: 0x0A, omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    for line in lines {
      if line.first == 0x2E { buffer.writeInteger(UInt8(0x2E)) }
      buffer.writeBytes(line.last == 0x0D ? line.dropLast() : line)
      buffer.writeStaticString("\r\n")
    }
    buffer.writeStaticString(".\r\n")
    return buffer
  }
}

extension SMTPStep {
  /// What the client would hear first.
  var firstReply: SMTPReply? {
    switch self {
    case .reply(let reply): reply
    case .replies(let replies), .close(let replies): replies.first
    case .receive(let reply, _): reply
    case .upgradeTLS(let reply): reply
    case .proceed, .ask: nil
    }
  }
}
