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

  /// A reply as it would go out.
  func outgoing(_ reply: SMTPReply) -> SMTPReply { service.outgoing(reply) }

  /// What is known of a message.
  enum Content {
    /// Nothing: taken for empty.
    case none
    /// Its beginning, and what its whole body comes to.
    case bytes([UInt8], DataOutcome)
    /// What the trace has: `Received` fields.
    case recorded(hops: Int)
  }

  /// What a transaction came to. Replies are as they would go out.
  struct Course {
    struct Recipient {
      var address: EmailAddress
      /// Nil: taken.
      var refusal: SMTPReply?
      /// Why it was taken or not.
      var reason: String
      var judged: JudgedRecipient?
    }

    /// The refusal of EHLO, if it was.
    var helloRefusal: SMTPReply?
    /// The refusal of MAIL, if it was.
    var senderRefusal: SMTPReply?
    var recipients: [Recipient] = []
    /// The refusal of the message, and why.
    var messageRefusal: (reply: SMTPReply, reason: String)?
    /// What would be stored.
    var acceptance: Acceptance?
    var observation: MessageObservation?

    /// The first refusal that concerns all of it.
    var refusal: SMTPReply? { helloRefusal ?? senderRefusal ?? messageRefusal?.reply }
  }

  /// Goes through a transaction as a session would, up to the point where the message would be stored.
  ///
  /// - Parameters:
  ///   - isRecorded: what the client said was taken once: its name is not read again, and its refused recipients end nothing.
  ///   - size: as announced; nil: not.
  func course(
    of client: Client, isRecorded: Bool = false, sender: EmailAddress?, recipients: [EmailAddress], size: UInt64?,
    _ content: Content
  ) -> Course {
    var course = Course()
    var conversation = SMTPConversation<Receipt>(service)
    conversation.isTrusted = client.isTrusted || isRecorded
    _ = conversation.start()
    _ = conversation.answer(.accept)
    let hello = isRecorded ? .command(.ehlo(client.heloName), isLast: true) : self.hello(client.heloName)
    var step = hello.map { conversation.handle($0) } ?? .proceed
    if let refusal = step.firstReply, refusal.code >= 400 {
      course.helloRefusal = outgoing(refusal)
      return course
    }
    var envelope = Envelope(reversePath: sender, bodyType: .eightBitMIME)
    envelope.isInternationalized = ([sender].compactMap { $0 } + recipients).contains(where: \.needsUTF8)
    let path = SMTPSender(envelope: envelope, declaredSize: size)
    step = conversation.handle(.command(.mail(path), isLast: true))
    if case .ask(.sender(let sender)) = step { step = conversation.answer(reception.judge(sender: sender, from: client)) }
    if let refusal = step.firstReply, refusal.code >= 400 {
      course.senderRefusal = outgoing(refusal)
      return course
    }
    var targets = TargetCount(limit: Settings.session(configuration).targets)
    var judged: [JudgedRecipient] = []
    for address in recipients {
      let answer = recipient(address, client, &conversation, &targets, judged)
      if let taken = answer.judged { judged.append(taken) }
      course.recipients.append(answer)
    }
    guard !judged.isEmpty else { return course }
    step = conversation.handle(.command(.data, isLast: true))
    guard case .receive = step else {
      course.messageRefusal = step.firstReply.map { (outgoing($0), "DATA is refused") }
      return course
    }
    finish(&course, content, judged, client, &conversation)
    return course
  }

  /// The client's first line, read as the server reads it.
  private func hello(_ name: String) -> SMTPInput? {
    var parser = SMTPCommandParser(dialect: service.dialect, limits: service.limits)
    var input = ByteBuffer(string: "\(service.dialect == .lmtp ? "LHLO" : "EHLO") \(name)\r\n")
    return parser.next(from: &input)
  }

  private func recipient(
    _ address: EmailAddress, _ client: Client, _ conversation: inout SMTPConversation<Receipt>, _ targets: inout TargetCount,
    _ others: [JudgedRecipient]
  ) -> Course.Recipient {
    var answer = Course.Recipient(address: address, refusal: nil, reason: "")
    var step = conversation.handle(.command(.rcpt(SMTPRecipient(address: address)), isLast: true))
    if case .ask(.recipient(let recipient)) = step {
      switch reception.judge(recipient: recipient, from: client) {
      case .accept(let judged):
        answer.reason = judged.explanation
        switch targets.add(judged, to: others) {
        case .fits:
          answer.judged = judged
          step = conversation.answer(.accept)
        case .tooManyTogether:
          answer.reason = "too many targets in one transaction"
          step = conversation.answer(.tooMany)
        case .tooManyAlone:
          answer.reason = Reception.tooManyTargetsReason
          step = conversation.answer(.refuse(Reception.tooManyTargets(address)))
        }
      case .refuse(let reply, let reason):
        answer.reason = reason
        step = conversation.answer(.refuse(reply))
      }
    }
    if let reply = step.firstReply, reply.code >= 400 {
      answer.refusal = outgoing(reply)
      answer.judged = nil
      if answer.reason.isEmpty { answer.reason = "by the rules of the transaction" }
    }
    return answer
  }

  private func finish(
    _ course: inout Course, _ content: Content, _ judged: [JudgedRecipient], _ client: Client,
    _ conversation: inout SMTPConversation<Receipt>
  ) {
    var observer = MessageObserver(limits: Settings.session(configuration).content)
    var outcome = DataOutcome()
    if case .bytes(let bytes, let whole) = content {
      observer.observe(ByteBuffer(bytes: bytes))
      outcome = whole
    }
    var observed = observer.finish()
    if case .recorded(let hops) = content { observed.census.hops = hops }
    course.observation = observed
    let step = conversation.received(outcome)
    guard case .ask(.message(let taken)) = step else {
      course.messageRefusal = step.firstReply.map { (outgoing($0), "the body is unfit") }
      return
    }
    let id = QueueID(at: clock.now(), randomness: 0)
    switch reception.judge(message: taken, recipients: judged, observed: observed, client: client, id: id) {
    case .accept(let acceptance): course.acceptance = acceptance
    case .refuse(let reply, let reason): course.messageRefusal = (outgoing(reply), reason)
    }
  }

  /// What storing it would come to: with the server's own decisions on full mailboxes, by what accounts hold now.
  func store(_ course: inout Course, size: Int64, in store: any MailStore) async throws(AdminFailure) {
    guard let planned = course.acceptance else { return }
    let judged = course.recipients.compactMap(\.judged)
    let room = RoomInMailboxes(store: store, size: size)
    do throws(StoringProblem) {
      let stored = try await reception.store(
        planned, for: judged, service.dialect, remembering: FullMailboxes(clock: clock)
      ) { acceptance throws(StoreError) in try await room.check(acceptance) }
      course.acceptance = stored.acceptance
    } catch {
      if case .store(let failure) = error, error.cause != .mailbox { throw AdminFailure(failure) }
      course.acceptance = nil
      course.messageRefusal = (outgoing(error.reply), error.reason)
    }
  }
}

/// Whether a message would fit into the mailboxes it is for.
private struct RoomInMailboxes: Sendable {
  let store: any MailStore
  /// Octets of the message as it comes.
  let size: Int64

  func check(_ acceptance: Acceptance) async throws(StoreError) {
    for delivery in acceptance.deliveries {
      guard !(try await store.usage(of: delivery.account)).isOver(adding: acceptance.octets(of: delivery, body: size)) else {
        throw .overQuota(delivery.account)
      }
    }
  }
}

extension SMTPStep {
  /// What the client would hear first.
  var firstReply: SMTPReply? {
    switch self {
    case .reply(let reply), .challenge(let reply): reply
    case .replies(let replies), .close(let replies): replies.first
    case .receive(let reply, _): reply
    case .upgradeTLS(let reply): reply
    case .proceed, .ask: nil
    }
  }
}
