import InternetMessage
import MailModel
import Outside

/// The server's side of an SMTP or LMTP connection, as a value: bytes understood go in, the next step comes out.
///
/// It knows the legal order of commands, the envelope, counters and limits, and nothing of policy. `Proof` is what shows that
/// a message is on stable storage: the server's is the store's receipt; with `Never` no message can ever be accepted.
///
/// Calls: `start` once; then for each step what `SMTPStep` says. A call that does not fit the step before it closes with `421 4.3.0`.
public struct SMTPConversation<Proof: Sendable>: Sendable {
  public let service: SMTPService

  /// What TLS agreed on, once it has.
  public private(set) var tls: TLSFacts?
  /// The client's name for itself from the last EHLO, HELO or LHLO, as given.
  public private(set) var clientName: String?
  /// Refused recipients so far.
  public private(set) var badRecipients = 0
  /// Commands that could not be understood or came out of order so far.
  public private(set) var badCommands = 0
  /// Messages accepted so far.
  public private(set) var acceptedMessages = 0
  /// Whether octets of a message have come and it has neither been stored nor refused. A session that sees false drops what it spooled.
  public var holdsBody: Bool { false }
  /// The keyword for `with` in `Received` (RFC 3848, RFC 6531, 4.3): `ESMTPS`, `UTF8SMTP`, `LMTP`.
  public var protocolKeyword: String { "" }
  /// How long the session may wait before the next reply, to slow down who harvests addresses (HOSTILE 11). Mostly zero.
  public var delay: Duration { .zero }

  /// - Parameters:
  ///   - tls: what TLS agreed on, if the connection began with it.
  ///   - mayUseXCLIENT: the peer is configured to speak XCLIENT.
  public init(_ service: SMTPService, tls: TLSFacts? = nil, mayUseXCLIENT: Bool = false) {
    self.service = service
    self.tls = tls
  }

  /// The first step: `ask(.greeting)`.
  public mutating func start() -> SMTPStep { .ask(.greeting) }

  /// Bytes stood in the input before the greeting was written.
  public mutating func earlyTalk(_ first: ForeignProtocol?) -> SMTPStep { .close([]) }

  /// The next input, after `reply` or `replies`.
  public mutating func handle(_ input: SMTPInput) -> SMTPStep { .close([]) }

  /// The answer to `ask`.
  public mutating func answer(_ verdict: SMTPVerdict) -> SMTPStep { .close([]) }

  /// The message is on stable storage for all recipients.
  ///
  /// - Parameter note: what follows in the reply, `queued as 0abc...`.
  public mutating func stored(_ proof: Proof, note: String) -> SMTPStep { .close([]) }

  /// The message is on stable storage for those recipients whose place in `refusals` is nil, in the order of `SMTPMessage.recipients`.
  /// In SMTP any stored recipient means `250`, refused ones must then be notified otherwise.
  public mutating func stored(_ proof: Proof, note: String, refusals: [SMTPReply?]) -> SMTPStep { .close([]) }

  /// The decoder of `receive` ended.
  public mutating func received(_ outcome: DataOutcome) -> SMTPStep { .close([]) }

  /// TLS stands; the conversation starts again (RFC 3207, 4.2).
  public mutating func tlsEstablished(_ facts: TLSFacts) -> SMTPStep { .proceed }

  /// The handshake failed, or bytes stood in the input (HOSTILE 5).
  public mutating func tlsFailed() -> SMTPStep { .close([]) }

  /// The server ends: closes with `421 4.3.2` at once; `proceed` while an answer is awaited (call again after its reply).
  public mutating func shutdown() -> SMTPStep { .proceed }

  /// The peer let a deadline pass: closes with `421 4.4.2`.
  public mutating func deadlinePassed() -> SMTPStep { .close([]) }
}
