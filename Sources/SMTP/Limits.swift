/// What bounds an SMTP or LMTP conversation. 0 means unlimited only where it is said.
public struct SMTPLimits: Hashable, Sendable {
  /// Octets of a command line with its CRLF. Default 2,048 (RFC 5321, 4.5.3.1.4 asks for 512; parameters may need more).
  /// Over it: `500 5.5.2`, the rest of the line is discarded.
  public var commandLine = 2_048

  /// Octets of an AUTH line with its CRLF. Default 12,288 (RFC 4954, 4). Over it: `500 5.5.2`.
  public var authenticationLine = 12_288

  /// Octets of one line that are discarded before the connection ends. Default 65,536. Over it: `421 4.7.0`.
  public var discardedLine = 65_536

  /// Octets of a message. Default 50 MB (50,000,000); 0 is unlimited. Over it: `552 5.3.4` at MAIL if announced, else at its end.
  public var messageSize: UInt64 = 50_000_000

  /// Octets of a message read and thrown away beyond `messageSize` before the connection ends. Default 16 MiB.
  /// Over it: `552 5.3.4` and the connection is closed.
  public var overrun: UInt64 = 16 * 1_024 * 1_024

  /// Octets of a line of a message, without CRLF. Default 65,536, 0 is unlimited (RFC 5321, 4.5.3.1.6 allows 998; real servers pass
  /// more on). Over it: `550 5.6.0`.
  public var bodyLine = 65_536

  /// Accepted RCPT commands of one transaction, repetitions included. Default 1,000 (RFC 5321, 4.5.3.1.8 asks for at least 100).
  /// Over it: `452 4.5.3`.
  public var recipients = 1_000

  /// RCPT commands beyond `recipients` that get a `452` before each further one counts as an error. Default 1,000.
  public var recipientOvershoot = 1_000

  /// Refused (5xx) recipients of one connection. Default 20, 0 is unlimited. The next one: `421 4.7.0`, closed.
  public var badRecipients = 20

  /// Refused recipients of one connection that are answered without delay. Default 5.
  public var quickBadRecipients = 5

  /// How long each further refused recipient is made to wait for its reply. Default 1 s.
  public var badRecipientDelay = Duration.seconds(1)

  /// Transactions (accepted MAIL commands) of one connection. Default 1,000, 0 is unlimited; announced as MAILMAX (RFC 9422, 4.1).
  /// Over it: `421 4.7.0` at MAIL, closed.
  public var messages = 1_000

  /// Commands that could not be understood, or came out of order, of one connection. Default 20. The next one: `421 4.7.0`, closed.
  public var badCommands = 20

  /// Commands that move nothing (NOOP, RSET, HELP, VRFY, EXPN, repeated EHLO) between two messages. Default 100.
  /// Over it: `421 4.7.0`, closed.
  public var idleCommands = 100

  /// AUTH commands of one connection that fail for their credentials. Default 5. The last: `421 4.7.0`, closed.
  public var failedAuthentications = 5

  /// The defaults.
  public init() {}
}
