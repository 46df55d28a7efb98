import InternetMessage
import MailModel

/// A command of the client, understood (RFC 5321, 4.1.1; RFC 2033, 4.1). Made by `SMTPCommand.parse`.
public enum SMTPCommand: Hashable, Sendable {
  /// `EHLO` (RFC 5321, 4.1.1.1) with the client's name for itself, as given.
  case ehlo(String)
  /// `HELO` (RFC 5321, 4.1.1.1).
  case helo(String)
  /// `LHLO` (RFC 2033, 4.1).
  case lhlo(String)
  /// `MAIL FROM:` (RFC 5321, 4.1.1.2).
  case mail(SMTPSender)
  /// `RCPT TO:` (RFC 5321, 4.1.1.3).
  case rcpt(SMTPRecipient)
  /// `DATA` (RFC 5321, 4.1.1.4).
  case data
  /// `BDAT` (RFC 3030, 2): a chunk of so many octets follows at once.
  case bdat(octets: UInt64, isLast: Bool)
  /// `RSET` (RFC 5321, 4.1.1.5).
  case rset
  /// `VRFY` (RFC 5321, 4.1.1.6).
  case vrfy
  /// `EXPN` (RFC 5321, 4.1.1.7).
  case expn
  /// `HELP` (RFC 5321, 4.1.1.8).
  case help
  /// `NOOP` (RFC 5321, 4.1.1.9).
  case noop
  /// `QUIT` (RFC 5321, 4.1.1.10).
  case quit
  /// `STARTTLS` (RFC 3207, 4).
  case starttls
  /// `AUTH` (RFC 4954, 4): mechanism in capitals, and the initial response as sent (base64 or `=`).
  case auth(mechanism: String, initialResponse: [UInt8]?)
  /// `XCLIENT` (Postfix).
  case xclient(XCLIENTAttributes)
  /// A word that is no command of SMTP.
  case unknown
}

/// What `MAIL FROM:` says: the envelope and what was announced about the message.
public struct SMTPSender: Hashable, Sendable {
  public var envelope: Envelope
  /// `SIZE=` (RFC 1870, 6), octets; more than 2^64 - 1 is held there.
  public var declaredSize: UInt64?
  /// `AUTH=` (RFC 4954, 5), decoded: who submitted it first; `<>` for nobody known. Advice of the client, not proof.
  public var submitter: String?

  public init(envelope: Envelope, declaredSize: UInt64? = nil, submitter: String? = nil) {
    self.envelope = envelope
    self.declaredSize = declaredSize
    self.submitter = submitter
  }
}

/// What `RCPT TO:` says.
public struct SMTPRecipient: Hashable, Sendable {
  public var address: EmailAddress
  public var notification: NotificationRequest

  public init(address: EmailAddress, notification: NotificationRequest = .init()) {
    self.address = address
    self.notification = notification
  }
}
