import InternetMessage
import Outside

/// A recipient of a queued message as stored.
public struct QueueEntry: Hashable, Sendable {
  public enum State: UInt8, Hashable, Sendable {
    case waiting = 0
    case held = 1
    /// Leased by the scheduler.
    case claimed = 2
  }

  /// `destination` of recipients that wait for a mailbox of this host, their aliases followed: no domain, since it holds a colon.
  public static let localDestination = "local:"

  public var id: QueueRecipientID
  public var message: QueueID
  public var address: EmailAddress
  public var notification: NotificationRequest
  public var destination: String
  public var state: State
  public var attempts: UInt32
  public var nextAttempt: Timestamp
  /// When the delay notice went out; nil if it did not.
  public var delayNotified: Timestamp?
  /// The last reply or reason, one line for people; empty before the first attempt.
  public var lastReply: String
  /// The next hop a postmaster ordered, whatever routes and MX say; `destination` is the same then.
  public var reroute: String?

  /// What stands before the reason of a permanent failure that is kept instead of returned (`[queue] soft-bounce`).
  public static let keptPrefix = "kept (soft-bounce): "

  /// Its last failure was permanent, and is kept.
  public var isKept: Bool { lastReply.hasPrefix(Self.keptPrefix) }

  public init(
    id: QueueRecipientID, message: QueueID, address: EmailAddress, notification: NotificationRequest, destination: String,
    state: State,
    attempts: UInt32, nextAttempt: Timestamp, delayNotified: Timestamp? = nil, lastReply: String = "",
    reroute: String? = nil
  ) {
    self.id = id
    self.message = message
    self.address = address
    self.notification = notification
    self.destination = destination
    self.state = state
    self.attempts = attempts
    self.nextAttempt = nextAttempt
    self.delayNotified = delayNotified
    self.lastReply = lastReply
    self.reroute = reroute
  }
}

/// A queued message as stored, with those of its recipients that were asked for.
public struct QueuedMessage: Hashable, Sendable {
  public var id: QueueID
  public var received: Timestamp
  public var envelope: Envelope
  public var census: BodyCensus
  public var body: BodyID
  /// Octets of prefix and body together.
  public var size: Int
  public var entries: [QueueEntry]

  public init(
    id: QueueID, received: Timestamp, envelope: Envelope, census: BodyCensus, body: BodyID, size: Int, entries: [QueueEntry]
  ) {
    self.id = id
    self.received = received
    self.envelope = envelope
    self.census = census
    self.body = body
    self.size = size
    self.entries = entries
  }
}

/// What an attempt (or a decision of the queue) came to, for one recipient.
public enum Outcome: Hashable, Sendable {
  /// The next hop took it: its exact reply.
  case delivered(reply: String)
  /// Into a mailbox of this host (what could not be decided before the reply).
  case deliveredLocally(LocalDelivery)
  /// Try again at `next`.
  case transient(reason: String, next: Timestamp)
  /// Try at `next`, since the host was out of reach just before: no attempt was made, and none is counted.
  case skipped(reason: String, next: Timestamp)
  /// Never: the reply or reason is what the notification says.
  case permanent(reason: String)
  /// Nothing can be done until a person has looked: held, with the reason.
  case held(reason: String)
  /// The lease ends without an attempt: due again at `next`, attempts not counted.
  case returned(next: Timestamp)
}

/// An outcome to be recorded.
public struct OutcomeRecord: Hashable, Sendable {
  public var entry: QueueRecipientID
  public var message: QueueID
  public var outcome: Outcome
  public var trace: [TraceEvent]
  /// Marks that a delay notice went out.
  public var delayNotified: Timestamp?

  public init(
    entry: QueueRecipientID, message: QueueID, outcome: Outcome, trace: [TraceEvent] = [], delayNotified: Timestamp? = nil
  ) {
    self.entry = entry
    self.message = message
    self.outcome = outcome
    self.trace = trace
    self.delayNotified = delayNotified
  }
}

/// Which recipients a queue command means. Every field that is set must match.
public struct QueueSelection: Hashable, Sendable {
  public var ids: [QueueID]
  public var sender: String?
  public var recipient: String?
  public var domain: String?

  public init(ids: [QueueID] = [], sender: String? = nil, recipient: String? = nil, domain: String? = nil) {
    self.ids = ids
    self.sender = sender
    self.recipient = recipient
    self.domain = domain
  }
}

/// Next hops as the queue keeps them (`smtp://user:password@host:port`).
public enum NextHopText {
  /// `text` without a password: what people and logs see. Only the connection itself needs more.
  public static func redacted(_ text: String) -> String {
    guard let scheme = text.firstRange(of: "://"), let at = text[scheme.upperBound...].lastIndex(of: "@"),
      let colon = text[scheme.upperBound..<at].firstIndex(of: ":")
    else { return text }
    return text[..<colon] + ":***" + text[at...]
  }
}

/// What a postmaster does to queued recipients.
public enum QueueAction: Hashable, Sendable {
  case retry
  case hold
  case release
  /// Taken out without a notification.
  case remove
  /// From now on to this next hop (`smtp://host:port` ...), whatever routes and MX say.
  case reroute(nextHop: String)
}
