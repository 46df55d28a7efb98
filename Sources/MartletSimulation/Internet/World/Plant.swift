/// A fault put into the servers on purpose, at the seams between their parts, to show that the invariants find it.
public enum Plant: String, CaseIterable, Sendable, Codable {
  /// What a host acknowledged is forgotten, and sent again when the lease ends.
  case lostAcknowledgement = "lost-acknowledgement"
  /// What was claimed is delivered twice.
  case doubleDelivery = "double-delivery"
  /// What failed is tried again at once, again and again.
  case retryStorm = "retry-storm"
  /// One destination's mail is claimed and never carried.
  case starvedDestination = "starved-destination"
  /// An outcome is recorded without its trace.
  case missingTraceEvent = "missing-trace-event"
  /// The disk says that it has synced, and has not.
  case lyingDisk = "lying-disk"
  /// A message from the null path is answered.
  case answeredNullPath = "answered-null-path"
  /// A message is stored, and its client told that it was not.
  case deniedAcceptance = "denied-acceptance"
  /// A notification is called stored, and is nowhere.
  case lostNotification = "lost-notification"
  /// A notification is made twice.
  case doubleNotification = "double-notification"
  /// Somebody whom nobody named gets a copy.
  case wrongMailbox = "wrong-mailbox"
  /// A refusal leaves nothing in the trace.
  case untoldRefusal = "untold-refusal"
  /// What became due last is taken in hand first.
  case reversedClaims = "reversed-claims"

  /// The invariants that are to find it.
  public var foundBy: Set<String> {
    switch self {
    case .lostAcknowledgement, .doubleDelivery: [Duplicates.name]
    case .retryStorm: [RetryPace.name]
    case .starvedDestination: [Fairness.name, Drained.name]
    case .missingTraceEvent: [TraceComplete.name]
    case .lyingDisk: [Conservation.name, MailboxOrder.name]
    case .answeredNullPath: [NullPath.name]
    case .deniedAcceptance: [Duplicates.name]
    case .lostNotification: [Conservation.name]
    case .doubleNotification: [Notifications.name]
    case .wrongMailbox: [Addressees.name]
    case .untoldRefusal: [TraceComplete.name]
    case .reversedClaims: [DueOrder.name]
    }
  }
}
