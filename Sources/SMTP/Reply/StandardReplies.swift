/// The replies that are always the same, their bytes made once. Codes by RFC 5321, 4.2.3; enhanced codes by RFC 3463 and RFC 5248.
extension SMTPReply {
  static let senderOK = SMTPReply(250, .init(.success, 1, 0), "Sender OK").prebuilt()
  static let recipientOK = SMTPReply(250, .init(.success, 1, 5), "Recipient OK").prebuilt()
  static let done = SMTPReply(250, .init(.success, 0, 0), "OK").prebuilt()
  static let startData = SMTPReply(354, nil, "End the message with <CRLF>.<CRLF>").prebuilt()
  static let startTLS = SMTPReply(220, .init(.success, 0, 0), "Ready to start TLS").prebuilt()
  static let goodbye = SMTPReply(221, .init(.success, 0, 0), "Goodbye").prebuilt()
  /// RFC 5321, 3.5.3: 252 says neither yes nor no.
  static let cannotVerify = SMTPReply(252, .init(.success, 0, 0), "Send mail, and it will be tried").prebuilt()
  static let noExpansion = SMTPReply(502, .init(.permanent, 5, 1), "Lists are not shown").prebuilt()

  static let sayHello = SMTPReply(503, .init(.permanent, 5, 1), "Say EHLO first").prebuilt()
  static let sayLocalHello = SMTPReply(503, .init(.permanent, 5, 1), "Say LHLO first").prebuilt()
  static let needsSender = SMTPReply(503, .init(.permanent, 5, 1), "MAIL comes first").prebuilt()
  static let hasSender = SMTPReply(503, .init(.permanent, 5, 1), "A sender has been given; RSET drops it").prebuilt()
  static let inTransaction = SMTPReply(503, .init(.permanent, 5, 1), "Not within a mail transaction; RSET ends it").prebuilt()
  static let inChunks = SMTPReply(503, .init(.permanent, 5, 1), "A message in chunks has begun; BDAT or RSET").prebuilt()
  static let needsChunks = SMTPReply(503, .init(.permanent, 5, 1), "A binary message needs BDAT").prebuilt()
  static let noRecipients = SMTPReply(554, .init(.permanent, 5, 1), "No valid recipients").prebuilt()
  static let notWelcome = SMTPReply(503, .init(.permanent, 5, 1), "No mail is taken from you; QUIT").prebuilt()
  static let alreadyTLS = SMTPReply(503, .init(.permanent, 5, 1), "TLS is in use").prebuilt()
  static let notOffered = SMTPReply(502, .init(.permanent, 5, 1), "Not offered here").prebuilt()
  static let unknownCommand = SMTPReply(500, .init(.permanent, 5, 1), "Unknown command").prebuilt()
  static let lineTooLong = SMTPReply(500, .init(.permanent, 5, 2), "Line too long").prebuilt()
  static let notPipelined = SMTPReply(554, .init(.permanent, 5, 1), "Nothing may follow before this reply").prebuilt()
  static let earlyTalk = SMTPReply(554, .init(.permanent, 5, 1), "Wait for the greeting").prebuilt()
  static let notSMTP = SMTPReply(521, .init(.permanent, 5, 1), "This is a mail server").prebuilt()

  static let parameterNotOffered = SMTPReply(555, .init(.permanent, 5, 4), "Parameter not known or not offered").prebuilt()
  static let needsTLS = SMTPReply(530, .init(.permanent, 7, 10), "REQUIRETLS needs TLS").prebuilt()
  static let needsSMTPUTF8 = SMTPReply(553, .init(.permanent, 6, 7), "The address needs SMTPUTF8").prebuilt()

  static let tooLarge = SMTPReply(552, .init(.permanent, 3, 4), "Message too large").prebuilt()
  static let tooManyRecipients = SMTPReply(452, .init(.transient, 5, 3), "Too many recipients").prebuilt()
  static let bareLineEnding = SMTPReply(550, .init(.permanent, 6, 11), "Bare CR or LF in the message").prebuilt()
  static let nulInMessage = SMTPReply(550, .init(.permanent, 6, 11), "NUL in the message").prebuilt()
  static let bodyLineTooLong = SMTPReply(550, .init(.permanent, 6, 0), "A line of the message is too long").prebuilt()
  static let internalError = SMTPReply(451, .init(.transient, 3, 0), "Internal error; try again later").prebuilt()

  static let authenticated = SMTPReply(235, .init(.success, 7, 0), "Authentication successful").prebuilt()
  static let isAuthenticated = SMTPReply(503, .init(.permanent, 5, 1), "Authenticated already").prebuilt()
  static let unknownMechanism = SMTPReply(504, .init(.permanent, 5, 4), "Mechanism not offered").prebuilt()
  static let badResponse = SMTPReply(501, .init(.permanent, 5, 2), "Not a response of this mechanism").prebuilt()
  static let responseTooLong = SMTPReply(500, .init(.permanent, 5, 6), "Response too long").prebuilt()
  static let authenticationCancelled = SMTPReply(501, .init(.permanent, 7, 0), "Authentication cancelled").prebuilt()
  static let badCredentials = SMTPReply(535, .init(.permanent, 7, 8), "Authentication credentials invalid").prebuilt()
  static let mayNotActAs = SMTPReply(535, .init(.permanent, 7, 8), "May not act as that user").prebuilt()
  static let wrongChannel = SMTPReply(535, .init(.permanent, 7, 8), "Channel binding does not fit this connection").prebuilt()
  static let authenticationUnavailable =
    SMTPReply(454, .init(.transient, 7, 0), "Authentication is not possible just now, try again later").prebuilt()
  static let authenticationNeedsTLS = SMTPReply(538, .init(.permanent, 7, 11), "Authentication needs TLS").prebuilt()
  static let authenticateFirst = SMTPReply(530, .init(.permanent, 7, 0), "Authenticate first").prebuilt()
  static let startTLSFirst = SMTPReply(530, .init(.permanent, 7, 0), "Begin with STARTTLS").prebuilt()
  static let tooManyFailedLogins = SMTPReply(421, .init(.transient, 7, 0), "Too many failed logins").prebuilt()

  static let tooManyErrors = SMTPReply(421, .init(.transient, 7, 0), "Too many errors").prebuilt()
  static let tooManyBadRecipients = SMTPReply(421, .init(.transient, 7, 0), "Too many unknown recipients").prebuilt()
  static let tooManyIdleCommands = SMTPReply(421, .init(.transient, 7, 0), "Too many commands without a message").prebuilt()
  static let tooManyMessages = SMTPReply(421, .init(.transient, 7, 0), "Too many messages; connect again").prebuilt()
  static let lineWithoutEnd = SMTPReply(421, .init(.transient, 7, 0), "Line without end").prebuilt()
  static let tooManyConnections = SMTPReply(421, .init(.transient, 3, 2), "Too many connections, try again later").prebuilt()
  static let shuttingDown = SMTPReply(421, .init(.transient, 3, 2), "The server is shutting down").prebuilt()
  static let timedOut = SMTPReply(421, .init(.transient, 4, 2), "Waited too long").prebuilt()
  static let internalErrorClosing = SMTPReply(421, .init(.transient, 3, 0), "Internal error; try again later").prebuilt()

  /// The reply to a line that is no command.
  init(_ error: SMTPCommandError) {
    switch error {
    case .noCommand: self.init(500, .init(.permanent, 5, 2), "Not a command")
    case .badCharacter: self.init(501, .init(.permanent, 5, 2), "Control character or a byte beyond ASCII")
    case .bareLineFeed: self.init(500, .init(.permanent, 5, 2), "Lines end with CR and LF")
    case .badArgument: self.init(501, .init(.permanent, 5, 4), "Wrong arguments")
    case .badSender: self.init(501, .init(.permanent, 1, 7), "Not a sender address")
    case .badRecipient: self.init(501, .init(.permanent, 1, 3), "Not a recipient address")
    case .badParameter: self.init(501, .init(.permanent, 5, 4), "Wrong parameter")
    case .badChunk: self.init(501, .init(.permanent, 5, 4), "Chunk of unknown size")
    case .unknownParameter: self = .parameterNotOffered
    case .needsSMTPUTF8: self = .needsSMTPUTF8
    }
  }

  /// With the host's name in front of its text, as 421 has it (RFC 5321, 4.2.2).
  public func named(_ hostname: String) -> SMTPReply {
    SMTPReply(code, enhanced, lines: ["\(hostname) \(text)"] + moreLines)
  }

  /// This reply if it refuses (4xx, 5xx), else `451 4.3.0`: what was meant as a refusal must never read as success.
  var asRefusal: SMTPReply { code >= 400 ? self : .internalError }
}
