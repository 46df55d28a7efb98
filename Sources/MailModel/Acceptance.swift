import InternetMessage
import Outside

/// Everything that one accepted message makes durable, decided before the reply. All of it or nothing.
public struct Acceptance: Sendable {
  /// Made beforehand by `MailStore.makeQueueID`; one that is in use is refused (`exists`), unless `origin` says that it is the same.
  public var id: QueueID
  /// The queued recipient this message stands for, if accepting it may be tried again: the same id with the same origin is stored
  /// once and gives the same receipt. Nil for whatever comes from outside.
  public var origin: QueueRecipientID?
  public var received: Timestamp
  /// When what is queued may leave first, by the schedule; that of `recipients` decides.
  public var due: Timestamp
  public var envelope: Envelope
  /// Fields put in front of the body (`Received` ...), each ending in CRLF. At most 64 KiB.
  public var prefix: [UInt8]
  public var summary: MessageSummary
  /// What the body holds beyond 7-bit lines, counted while it streamed: decides what a next hop must offer.
  public var census: BodyCensus
  public var deliveries: [LocalDelivery]
  public var recipients: [QueuedRecipient]
  /// Recipients served by `deliveries` whose sender is to be told so (NOTIFY=SUCCESS): queue entries too, so that it is not forgotten.
  public var confirmations: [QueuedRecipient]
  public var trace: [TraceEvent]

  public init(
    id: QueueID, received: Timestamp, due: Timestamp? = nil, envelope: Envelope, prefix: [UInt8], summary: MessageSummary,
    census: BodyCensus,
    deliveries: [LocalDelivery] = [], recipients: [QueuedRecipient] = [], confirmations: [QueuedRecipient] = [],
    trace: [TraceEvent] = [], origin: QueueRecipientID? = nil
  ) {
    self.id = id
    self.origin = origin
    self.received = received
    self.due = due ?? received
    self.envelope = envelope
    self.prefix = prefix
    self.summary = summary
    self.census = census
    self.deliveries = deliveries
    self.recipients = recipients
    self.confirmations = confirmations
    self.trace = trace
  }
}

/// One copy for one mailbox of one account.
public struct LocalDelivery: Hashable, Sendable {
  public var account: AccountID
  /// Mailbox name; made if it does not exist.
  public var mailbox: String
  /// The address that led here, for `Delivered-To` and the trace.
  public var recipient: EmailAddress
  /// What the sender asked for: `success` owes a notification.
  public var notification: NotificationRequest
  public var flags: Flags
  /// Octets by which this copy may put the account or its domain over the quota: 0 for mail.
  public var quotaGrace: Int64

  public init(
    account: AccountID, mailbox: String = "INBOX", recipient: EmailAddress, notification: NotificationRequest = .init(),
    flags: Flags = .init(), quotaGrace: Int64 = 0
  ) {
    self.account = account
    self.mailbox = mailbox
    self.recipient = recipient
    self.notification = notification
    self.flags = flags
    self.quotaGrace = quotaGrace
  }
}

/// One recipient that leaves over the queue.
public struct QueuedRecipient: Hashable, Sendable {
  /// The destination of those who have their copy already, and whose sender is to hear of it.
  public static let confirmation = "local:delivered"

  public var address: EmailAddress
  public var notification: NotificationRequest
  /// What groups recipients into one transaction and pool: a domain in lower case, or a route's next hop. At most 255 octets.
  public var destination: String
  /// When it is due first.
  public var due: Timestamp
  /// Not to be tried until released.
  public var isHeld: Bool

  public init(
    address: EmailAddress, notification: NotificationRequest = .init(), destination: String, due: Timestamp, isHeld: Bool = false
  ) {
    self.address = address
    self.notification = notification
    self.destination = destination
    self.due = due
    self.isHeld = isHeld
  }
}
