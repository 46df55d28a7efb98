import MailModel
import Outside

/// What the events of one message come to: who sent it, and where each recipient's copy is. Pure.
struct TraceStory {
  /// Where a recipient's copy is, or how its way ended.
  enum Outcome: String {
    /// Taken; what became of it has not been recorded (yet).
    case accepted
    case queued
    /// Tried in vain, and tried again.
    case deferred
    /// Failed for ever and not returned: tried again as long as soft bounces are on.
    case kept
    case held
    case delivered
    /// Another host has taken it over.
    case relayed
    /// It stands for others, who have it now.
    case expanded
    /// Returned to its sender.
    case bounced
    case discarded
    case refused
    case removed
    /// It was in a mailbox, and is there no more.
    case expunged
  }

  struct Recipient {
    var address: String
    var outcome = Outcome.accepted
    /// When it came to that.
    var time: Timestamp?
    /// Who or what decided it: the exact reply, or our reason.
    var reason: String?
    var host: String?
    var mailbox: String?
    var uid: String?
    var attempts = 0
    /// Seconds since 1970 of the next attempt.
    var next: Int64?
    /// Whom it stands for, or into which message it went on.
    var to: String?
    /// The notification that told its sender.
    var notification: String?
    /// From where it was moved, when.
    var moved: Timestamp?
  }

  struct Notification: Encodable {
    var id: String
    var stage: String
    var to: String
    /// Why nobody got it.
    var discarded: String?
  }

  private(set) var received: Timestamp?
  /// Empty for the null path; nil if it is not known.
  private(set) var sender: String?
  private(set) var messageID: String?
  /// The facts of the first event: client, helo, tls ...
  private(set) var origin: [TraceEvent.Detail] = []
  private(set) var recipients: [Recipient] = []
  private(set) var notifications: [Notification] = []
  /// The message that this one, a notification, is about.
  private(set) var about: String?
  private var places: [String: Int] = [:]

  /// The message never came whole, and nobody refused it.
  var isCutOff: Bool { origin("verdict") == "cut off" }

  init(_ events: [TraceEvent]) { for event in events { take(event) } }

  /// A fact of the first event.
  func origin(_ key: String) -> String? { origin.value(key) }

  // MARK: One event after the other

  private mutating func take(_ event: TraceEvent) {
    switch event.kind {
    case .received: begin(event)
    case .refused: refuse(event)
    case .notified: notified(event)
    case .discarded where event.recipient == nil: notificationDiscarded(event)
    default:
      if let recipient = event.recipient { change(recipient, by: event) }
    }
  }

  private mutating func begin(_ event: TraceEvent) {
    guard received == nil else { return }
    received = event.time
    origin = event.detail
    if let from = event.detail.value("from") { sender = from == "<>" ? "" : from }
    messageID = event.detail.value("message-id")
    about = event.detail.value("about")
    for address in event.detail.value("to")?.split(separator: " ") ?? [] { _ = place(of: String(address)) }
  }

  private mutating func refuse(_ event: TraceEvent) {
    let isWhole = received == nil
    if isWhole {
      received = event.time
      origin = event.detail
      if let from = event.detail.value("from") { sender = from == "<>" ? "" : from }
      messageID = event.detail.value("message-id")
    }
    let named = event.recipient.map { [$0] } ?? (event.detail.value("to")?.split(separator: " ") ?? []).map(String.init)
    for address in named { change(address, by: event) }
  }

  private mutating func notified(_ event: TraceEvent) {
    guard let id = event.detail.value("id") else { return }
    guard !notifications.contains(where: { $0.id == id }) else { return }
    notifications.append(
      Notification(id: id, stage: event.detail.value("stage") ?? "", to: event.detail.value("to") ?? "", discarded: nil))
  }

  private mutating func notificationDiscarded(_ event: TraceEvent) {
    guard let id = event.detail.value("notification-id") else { return }
    guard !notifications.contains(where: { $0.id == id }) else { return }
    notifications.append(
      Notification(
        id: id, stage: event.detail.value("stage") ?? "", to: event.detail.value("notification-to") ?? "",
        discarded: event.detail.value("discarded")))
  }

  private mutating func change(_ address: String, by event: TraceEvent) {
    let place = place(of: address)
    var recipient = recipients[place]
    defer { recipients[place] = recipient }
    let detail = event.detail
    let said = detail.value("reply") ?? detail.value("reason")
    switch event.kind {
    case .attempted:
      recipient.attempts += 1
      recipient.reason = said
      recipient.host = detail.value("host")
      return
    case .queued:
      // A copy that was put off before it came into the queue keeps its reason.
      if recipient.outcome == .deferred { return }
      recipient.outcome = detail.value("held") == nil ? .queued : .held
    case .deferred:
      recipient.outcome = detail.value("kept") == nil ? .deferred : .kept
      recipient.next = detail.value("next").flatMap { Int64($0) }
      if let said { recipient.reason = said }
    case .released: recipient.outcome = .queued
    case .delivered:
      recipient.outcome = .delivered
      recipient.mailbox = detail.value("mailbox")
      recipient.uid = detail.value("uid")
      recipient.reason = nil
    case .moved:
      guard recipient.mailbox == detail.value("from"), recipient.uid == detail.value("from-uid") else { return }
      recipient.mailbox = detail.value("mailbox")
      recipient.uid = detail.value("uid")
      recipient.moved = event.time
      return
    case .copied: return
    case .expunged:
      guard recipient.uid == detail.value("uid") else { return }
      recipient.outcome = .expunged
      recipient.reason = said
    case .relayed:
      recipient.outcome = .relayed
      recipient.attempts += 1
      (recipient.host, recipient.reason) = (detail.value("host"), said)
    case .bounced:
      recipient.outcome = .bounced
      recipient.reason = said
      recipient.notification = detail.value("told") == nil ? notifications.last?.id : nil
    case .expanded:
      recipient.outcome = .expanded
      recipient.to = detail.value("to") ?? detail.value("into")
      recipient.reason = detail.value("because")
    case .held, .discarded, .refused, .removed:
      recipient.outcome = Outcome(rawValue: "\(event.kind)") ?? recipient.outcome
      if let said { recipient.reason = said }
    case .received, .routed, .notified, .rerouted, .quarantined: return
    }
    recipient.time = event.time
    if recipient.outcome != .deferred, recipient.outcome != .kept { recipient.next = nil }
  }

  private mutating func place(of address: String) -> Int {
    if let known = places[address] { return known }
    places[address] = recipients.count
    recipients.append(Recipient(address: address))
    return recipients.count - 1
  }
}

extension [TraceEvent.Detail] {
  /// The value of the first fact of that name.
  func value(_ key: String) -> String? { first { $0.key == key }?.value }
}
