import InternetMessage
import MailModel
import Outside
import SASL

/// The server's side of an SMTP or LMTP connection, as a value: bytes understood go in, the next step comes out.
///
/// It knows the legal order of commands, the envelope, counters and limits, and nothing of policy. `Proof` is what shows that
/// a message is on stable storage: the server's is the store's receipt; with `Never` no message can ever be accepted.
///
/// Calls: `start` once; then for each step what `SMTPStep` says. A call that does not fit the step before it closes with `421 4.3.0`.
/// Each phase has its file: `+Commands`, `+Transaction`, `+Body`, `+Security`.
public struct SMTPConversation<Proof: Sendable>: Sendable {
  /// What is being waited for.
  enum Phase: Sendable {
    case new
    indirect case asking(SMTPQuestion)
    /// The next command; `isWelcome` is false after a refused greeting (RFC 5321, 3.1).
    case commands(isWelcome: Bool)
    case data
    case chunk(isLast: Bool)
    /// A chunk that is thrown away, and its reply.
    indirect case discarding(SMTPReply, isLast: Bool)
    /// The client's response to a challenge, or the answer to a question of the exchange.
    indirect case authenticating(SASLServer)
    case handshake
    case closed
  }

  public let service: SMTPService
  let mayUseXCLIENT: Bool
  var phase = Phase.new
  var transaction: SMTPTransaction?

  /// What TLS agreed on, once it has.
  public internal(set) var tls: TLSFacts?
  /// The client's name for itself from the last EHLO, HELO or LHLO, as given.
  public internal(set) var clientName: String?
  /// Refused recipients so far.
  public internal(set) var badRecipients = 0
  /// Commands that could not be understood or came out of order so far.
  public internal(set) var badCommands = 0
  /// Messages accepted so far.
  public internal(set) var acceptedMessages = 0

  /// AUTH succeeded, and neither STARTTLS nor XCLIENT came after it.
  public internal(set) var isAuthenticated = false
  /// AUTH commands that failed for their credentials.
  var failedAuthentications = 0

  /// The client said EHLO or LHLO, not HELO.
  var isExtended = false
  /// MAIL commands accepted.
  var senders = 0
  /// MAIL was refused: what a pipelining client had sent behind it is out of order, but not its fault (RFC 2920, 3.1).
  var senderWasRefused = false
  var idleCommands = 0
  var refusedRecipientJustNow = false

  /// The client may send anywhere, so nobody need fear that it harvests addresses: its refused recipients are not counted.
  public var isTrusted = false

  /// - Parameters:
  ///   - tls: what TLS agreed on, if the connection began with it.
  ///   - mayUseXCLIENT: the peer is configured to speak XCLIENT.
  public init(_ service: SMTPService, tls: TLSFacts? = nil, mayUseXCLIENT: Bool = false) {
    self.service = service
    self.tls = tls
    self.mayUseXCLIENT = mayUseXCLIENT
  }

  /// Whether octets of a message have come and it has neither been stored nor refused. A session that sees false drops what it spooled.
  public var holdsBody: Bool {
    switch phase {
    case .data, .chunk, .asking(.message): true
    case .closed: false
    default: transaction?.chunks != nil
    }
  }

  /// Whether MAIL was taken, and neither the message's end, nor RSET, EHLO, a refusal or the connection's end came since.
  public var isInTransaction: Bool { transaction != nil }

  /// The keyword for `with` in `Received` (RFC 3848; RFC 6531, 4.3) for the transaction at hand: `ESMTPS`, `ESMTPSA`,
  /// `UTF8SMTP`, `LMTP`.
  public var protocolKeyword: String { protocolKeyword(isExtended: nil) }

  /// As `protocolKeyword`.
  ///
  /// - Parameter named: whether the client spoke ESMTP, when a trusted peer that speaks for it says so (XCLIENT).
  public func protocolKeyword(isExtended named: Bool?) -> String {
    let isExtended = named ?? self.isExtended
    let isUTF8 = transaction?.sender.envelope.isInternationalized == true
    let isLocal = service.dialect == .lmtp
    guard isExtended || isLocal else { return "SMTP" }
    let base = isLocal ? (isUTF8 ? "UTF8LMTP" : "LMTP") : (isUTF8 ? "UTF8SMTP" : "ESMTP")
    return base + (tls != nil ? "S" : "") + (isAuthenticated ? "A" : "")
  }

  /// How long the session may wait before the next reply, to slow down who harvests addresses (HOSTILE 11). Mostly zero.
  public var delay: Duration {
    refusedRecipientJustNow && badRecipients > service.limits.quickBadRecipients ? service.limits.badRecipientDelay : .zero
  }

  // MARK: Beginning and end

  /// The first step: `ask(.greeting)`.
  public mutating func start() -> SMTPStep {
    guard case .new = phase else { return misuse() }
    return ask(.greeting)
  }

  /// Bytes stood in the input before the greeting was written (HOSTILE 7); `first` is what they look like.
  public mutating func earlyTalk(_ first: ForeignProtocol?) -> SMTPStep {
    badCommands += 1
    return first.map { foreign($0) } ?? close(.earlyTalk)
  }

  /// The server ends: closes with `421 4.3.2` at once; `proceed` while an answer is awaited (call again after its reply).
  public mutating func shutdown() -> SMTPStep {
    switch phase {
    case .asking, .handshake: .proceed
    case .closed: .close([])
    case .new, .commands, .authenticating, .data, .chunk, .discarding: close(.shuttingDown)
    }
  }

  /// The place of this client, who was idle, is needed for another: closes with `421 4.3.2`. Only where the next command is awaited.
  public mutating func shed() -> SMTPStep {
    if case .closed = phase { return .close([]) }
    return close(.tooManyConnections)
  }

  /// The peer let a deadline pass: closes with `421 4.4.2`.
  public mutating func deadlinePassed() -> SMTPStep {
    if case .closed = phase { return .close([]) }
    return close(.timedOut)
  }

  // MARK: Shared by the phases

  mutating func ask(_ question: SMTPQuestion) -> SMTPStep {
    phase = .asking(question)
    return .ask(question)
  }

  /// Replies and waits for the next command.
  mutating func reply(_ reply: SMTPReply) -> SMTPStep {
    phase = .commands(isWelcome: true)
    return .reply(reply)
  }

  mutating func close(_ replies: SMTPReply...) -> SMTPStep {
    phase = .closed
    transaction = nil
    return .close(replies.map { $0.code == 421 ? $0.named(service.hostname) : $0 })
  }

  /// A call out of turn. The session is wrong, not the peer; nothing is promised.
  mutating func misuse() -> SMTPStep {
    if case .closed = phase { return .close([]) }
    return close(.internalErrorClosing)
  }

  /// Counts an error; the budget's last ends the connection.
  mutating func bad(_ reply: SMTPReply) -> SMTPStep {
    badCommands += 1
    guard badCommands <= service.limits.badCommands else { return close(.tooManyErrors) }
    return .reply(reply)
  }

  /// Counts a command that moves nothing; too many of them end the connection.
  mutating func idle(_ reply: SMTPReply) -> SMTPStep {
    idleCommands += 1
    guard idleCommands <= service.limits.idleCommands else { return close(.tooManyIdleCommands) }
    return .reply(reply)
  }
}
