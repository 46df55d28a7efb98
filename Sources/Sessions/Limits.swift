import InternetMessage
import Outside

/// How long an SMTP session waits, and for what. Every wait has an end.
public struct SessionLimits: Hashable, Sendable {
  /// Wait for the next command: 5 min (RFC 5321, 4.5.3.2.7). Over it: `421 4.4.2`, closed.
  public var command: Duration = .seconds(300)
  /// Wait for the next bytes of a message: 3 min (RFC 5321, 4.5.3.2.5). Over it: `421 4.4.2`, closed, nothing stored.
  public var data: Duration = .seconds(180)
  /// One message from its first to its last byte, whatever its rate: 1 h. Over it: `421 4.4.2`, closed.
  public var message: Duration = .seconds(3_600)
  /// A whole session: 4 h. Over it: `421 4.4.2` at the next command.
  public var session: Duration = .seconds(14_400)
  /// A TLS handshake: 60 s. Over it: closed.
  public var handshake: Duration = .seconds(60)
  /// A PROXY header: 10 s. Over it: closed without a reply.
  public var proxyHeader: Duration = .seconds(10)
  /// Octets a second a client must bring on average while a line or a message of its is under way: 500. Under it: `421 4.4.2`.
  public var minimumRate: UInt64 = 500
  /// Time that is not counted against `minimumRate`: 30 s.
  public var rateGrace: Duration = .seconds(30)
  /// Commands after which a session lets the others of its loop have a turn: 32.
  public var commandsPerTurn = 32
  /// Octets of replies that may wait for a client that does not read: 65,536, then the session waits for it (5 min, then closed).
  public var output = 65_536

  /// Mailboxes and addresses that the recipients of one transaction lead to, aliases followed, each once: 10,000, which is what the store
  /// takes of one message. The RCPT that goes beyond gets `452 4.5.3`; one that does so by itself `550 5.4.6`.
  public var targets = 10_000

  /// Octets of headers and structures that all sessions together may hold while messages come in: 256 MiB. Over it: `452 4.3.1`.
  public var contentMemory = 268_435_456

  /// What is read of a message's header and structure.
  public var content = MessageLimits()

  public init() {}
}
