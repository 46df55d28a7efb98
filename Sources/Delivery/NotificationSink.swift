import InternetMessage
import MailModel
import MailStore
import Outside

/// Takes notifications (and nothing else) into the store, as if a client had sent them: the recipient is resolved like any other
/// and gets a mailbox entry or a queue entry.
public protocol NotificationSink: Sendable {
  /// Stores `notification` durably, or decides that nobody gets it. Throws when the store can't: the caller tries again later.
  func accept(_ notification: ComposedNotification) async throws(StoreError) -> StoredNotification

  /// Where a double bounce goes: the postmaster of this host.
  var postmaster: EmailAddress { get }
}

/// What became of a notification.
public struct StoredNotification: Hashable, Sendable {
  public var id: QueueID
  /// Why nobody gets it; it is in the trace only.
  public var discarded: String?

  public init(id: QueueID, discarded: String? = nil) {
    self.id = id
    self.discarded = discarded
  }
}

/// A notification ready to be stored. Its reverse-path is null (RFC 3461, 6.1), so it is never answered by another.
public struct ComposedNotification: Sendable {
  public enum Stage: String, Hashable, Sendable {
    case failed
    case delayed
    /// RFC 3464, 2.3.3: delivered here.
    case delivered
    /// Passed on to a host that sends no notifications (RFC 3461, 5.2.2).
    case relayed
    /// Left this host's care by an expansion.
    case expanded
    /// Waits for the postmaster, who is the one that is told: its bytes are damaged.
    case held
  }

  /// The id under which it is to be accepted; accepting it twice stores it once.
  public var id: QueueID
  public var stage: Stage
  /// The message it is about.
  public var subject: QueueID
  public var recipient: EmailAddress
  /// The whole message, header and body, lines ended by CRLF.
  public var bytes: [UInt8]
  /// Not to leave before: notifications to one destination are spread over time (HOSTILE 16).
  public var notBefore: Timestamp
  /// As the message it is about (RFC 8689, 5; RFC 6533, 3).
  public var requiresTLS: Bool
  public var isInternationalized: Bool
  /// Whether the body has bytes above 127.
  public var bodyType: Envelope.BodyType

  /// The envelope to accept it with: null reverse-path (RFC 3461, 6.1), no notifications about it but to the postmaster.
  public var envelope: Envelope {
    Envelope(
      reversePath: nil, bodyType: bodyType, isInternationalized: isInternationalized, requiresTLS: requiresTLS,
      envelopeID: isForPostmaster ? nil : Self.envelopeIDPrefix + subject.description)
  }

  /// Marks our own notifications in the queue: when one of them can't be delivered, the postmaster hears of it (double bounce).
  static let envelopeIDPrefix = "martlet-notification-"

  /// It tells the postmaster of a notification that failed; if it fails too, nobody is told.
  public var isForPostmaster = false

  public init(
    id: QueueID, stage: Stage, subject: QueueID, recipient: EmailAddress, bytes: [UInt8], notBefore: Timestamp,
    requiresTLS: Bool = false,
    isInternationalized: Bool = false, bodyType: Envelope.BodyType = .sevenBit
  ) {
    self.id = id
    self.stage = stage
    self.subject = subject
    self.recipient = recipient
    self.bytes = bytes
    self.notBefore = notBefore
    self.requiresTLS = requiresTLS
    self.isInternationalized = isInternationalized
    self.bodyType = bodyType
  }
}

/// Decides about queued recipients that may live on this host: those whose delivery could not be decided before the reply, and
/// those whose domain became local meanwhile.
public protocol LocalDestination: Sendable {
  /// Whether `domain` (A-labels, lower case) is delivered here. Must not wait.
  func isLocal(_ domain: String) -> Bool

  /// Where the entry goes. Called only for local domains and for `Scheduler.localDestination`.
  func resolve(_ entry: QueueEntry, of message: QueuedMessage) async -> LocalResolution
}

/// What became of a local recipient.
public enum LocalResolution: Hashable, Sendable {
  case deliver(LocalDelivery)
  /// The address stands for several now: the message went on to all of them, durably, under this id. The entry is done, as relayed.
  case expanded(into: QueueID)
  /// Not now; the reply that a client would have got, `452 4.2.2 ...`.
  case transient(reason: String)
  /// Never; `550 5.1.1 ...`.
  case permanent(reason: String)
}
