import Outside

/// One stage of a message's life, written in the transaction it describes.
public struct TraceEvent: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
    /// Connection, sender, checks with their evidence, verdict; once a message.
    case received = 1
    /// Refused; nothing was stored but this.
    case refused = 2
    /// Into a mailbox: which, and the UID.
    case delivered = 3
    /// Accepted, and waits to be sent on: one a recipient.
    case queued = 4
    case routed = 5
    /// One attempt with the remote's exact reply.
    case attempted = 6
    case relayed = 7
    case deferred = 8
    case bounced = 9
    /// A notification was made; `detail` has its queue id.
    case notified = 10
    case expanded = 11
    case held = 12
    case released = 13
    case removed = 14
    case rerouted = 15
    case discarded = 16
    case quarantined = 17
    /// From one mailbox into another: both, with the UIDs.
    case moved = 18
    /// Out of its mailbox for good, by its owner or with the mailbox.
    case expunged = 19
    case copied = 20
  }

  public var time: Timestamp
  public var kind: Kind
  /// The recipient it concerns, as text; nil for the whole message.
  public var recipient: String?
  /// `key=value` facts in order, for people and JSON: `("reply", "250 2.0.0 OK")`. Values are plain text, escaped when shown.
  public var detail: [Detail]

  public struct Detail: Hashable, Sendable {
    public var key: String
    public var value: String
    public init(_ key: String, _ value: String) {
      self.key = key
      self.value = value
    }
  }

  public init(time: Timestamp, kind: Kind, recipient: String? = nil, detail: [Detail] = []) {
    self.time = time
    self.kind = kind
    self.recipient = recipient
    self.detail = detail
  }
}

extension TraceEvent.Kind: CustomStringConvertible {
  /// Its name, as the log, the trace and JSON have it.
  public var description: String {
    switch self {
    case .received: "received"
    case .refused: "refused"
    case .delivered: "delivered"
    case .queued: "queued"
    case .routed: "routed"
    case .attempted: "attempted"
    case .relayed: "relayed"
    case .deferred: "deferred"
    case .bounced: "bounced"
    case .notified: "notified"
    case .expanded: "expanded"
    case .held: "held"
    case .released: "released"
    case .removed: "removed"
    case .rerouted: "rerouted"
    case .discarded: "discarded"
    case .quarantined: "quarantined"
    case .moved: "moved"
    case .expunged: "expunged"
    case .copied: "copied"
    }
  }
}
