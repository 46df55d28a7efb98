import InternetMessage
import MailModel

/// One message for one or more recipients, as a client is to send it.
public struct SMTPClientTransaction: Sendable {
  public struct Recipient: Hashable, Sendable {
    public var address: EmailAddress
    public var notification: NotificationRequest

    public init(address: EmailAddress, notification: NotificationRequest = NotificationRequest()) {
      self.address = address
      self.notification = notification
    }
  }

  /// The caller's number for it; comes back with the result.
  public var id: UInt64
  public var envelope: Envelope
  /// At least one.
  public var recipients: [Recipient]
  /// Octets of the message as it will be sent, dots not counted.
  public var size: Int
  /// What the message holds, prefix included.
  public var census: BodyCensus

  public init(id: UInt64, envelope: Envelope, recipients: [Recipient], size: Int, census: BodyCensus) {
    self.id = id
    self.envelope = envelope
    self.recipients = recipients
    self.size = size
    self.census = census
  }
}

/// Why a recipient (or a host) was not served.
public struct SMTPClientFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was being waited for or done.
  public var stage: SMTPClientStage
  /// The host's exact reply; nil if it was silent, or we decided.
  public var reply: SMTPReply?
  /// What happened, in one line, beginning with our own code (`451 4.4.2 ...`); used where there is no reply.
  public var reason: String

  public init(stage: SMTPClientStage, reply: SMTPReply) {
    self.stage = stage
    self.reply = reply
    self.reason = ""
  }

  public init(stage: SMTPClientStage, reason: String) {
    self.stage = stage
    self.reason = reason
  }

  /// The reply, or the reason.
  public var description: String { reply.map { "\($0)" } ?? reason }
}

/// What became of one recipient.
public enum SMTPRecipientResult: Hashable, Sendable {
  /// The host took responsibility with this reply (RFC 5321, 6.1).
  case accepted(SMTPReply)
  case transient(SMTPClientFailure)
  case permanent(SMTPClientFailure)
  /// Nothing was decided: to be tried again at once, in another transaction or over another connection.
  case notTried
}

/// What became of a transaction.
public struct SMTPTransactionResult: Hashable, Sendable {
  public var id: UInt64
  /// In the order of the recipients.
  public var recipients: [SMTPRecipientResult]
  /// The host offered DSN and got the parameters: it sends the notifications from here on (RFC 3461, 5.2.1).
  public var passedNotifications: Bool
  /// The body was given to the host, at least in part.
  public var sentBody: Bool

  public init(id: UInt64, recipients: [SMTPRecipientResult], passedNotifications: Bool = false, sentBody: Bool = false) {
    self.id = id
    self.recipients = recipients
    self.passedNotifications = passedNotifications
    self.sentBody = sentBody
  }
}
