import Bytes
import InternetMessage
import MailModel
import MailStore
import Outside
import Reception

/// What the trace knows of a message that judging it again needs.
struct RecordedMail {
  /// What was said of it.
  enum Verdict {
    case accepted
    case refused(Refused)
  }

  struct Refused {
    /// At which command.
    var stage: String
    /// Empty if nothing could be said any more.
    var reply: String
    var cause: Refusal.Cause
    var reason: String

    init(_ facts: [TraceEvent.Detail], hasRecipient: Bool) {
      stage = facts.value("stage") ?? (hasRecipient ? "RCPT" : "DATA")
      reply = facts.value("reply") ?? ""
      reason = facts.value("reason") ?? ""
      cause = facts.value("cause").flatMap(Refusal.Cause.init) ?? .rules
    }
  }

  /// Who sent it, and where it came in.
  struct Peer {
    var remote: Endpoint
    var local: Endpoint
    var helo: String
  }

  /// Where a recipient's copy went.
  struct Way {
    var address: EmailAddress
    /// What decided: `mx`, `route smtp://...`; nil before the first attempt.
    var source: String?
    var dns: String?
    var dnssec: String?
    /// A postmaster sent it elsewhere, whatever the configuration says.
    var isRerouted = false
  }

  var id: QueueID
  var verdict: Verdict
  /// Nil for what was made here (notifications, expansions).
  var client: Peer?
  var sender: EmailAddress?
  var senderText: String
  var messageID: String?
  var recipients: [EmailAddress]
  /// The trace names all recipients.
  var isWhole: Bool
  var size: UInt64?
  var hops: Int?
  /// Delivered into mailboxes here, as the addresses that led there.
  var local: Set<String> = []
  /// Sent on over the queue.
  var ways: [Way] = []

  /// Why a message can't be judged again.
  struct Gap: Error {
    var reason: String
    var messages = 1
  }

  /// Reads it off its events.
  init(_ message: TracedMessage) throws(Gap) {
    id = message.id
    guard let first = message.events.first else { throw Gap(reason: "nothing is known of it") }
    let facts = first.detail
    if let omitted = facts.value("omitted") { throw Gap(reason: "refusals that were only counted", messages: Int(omitted) ?? 1) }
    switch first.kind {
    case .received: verdict = .accepted
    case .refused:
      verdict = .refused(Refused(facts, hasRecipient: first.recipient != nil))
    default: throw Gap(reason: "its beginning is past its retention")
    }
    let from = facts.value("from") ?? "<>"
    senderText = from == "<>" ? "" : from
    sender = from == "<>" ? nil : Self.address(from)
    messageID = facts.value("message-id")
    let named = first.kind == .refused ? first.recipient ?? facts.value("to") : facts.value("to")
    recipients = (named?.split(separator: " ") ?? []).compactMap { Self.address(String($0)) }
    // What names nobody (a recipient that can't be read) has nobody to be judged again.
    isWhole = facts.value("recipients") == nil && (named != nil || first.kind == .refused)
    size = facts.value("size").flatMap { UInt64($0) }
    hops = facts.value("hops").flatMap { Int($0) }
    client = Self.client(facts)
    for event in message.events.dropFirst() { take(event) }
  }

  private mutating func take(_ event: TraceEvent) {
    guard let text = event.recipient else { return }
    switch event.kind {
    case .delivered: local.insert(text.asciiLowercased)
    case .queued:
      // What waits for a mailbox here is not sent anywhere.
      guard event.detail.value("destination") != QueueEntry.localDestination, let address = Self.address(text) else { return }
      ways.append(Way(address: address))
    case .attempted, .relayed, .deferred:
      guard let source = event.detail.value("route"), let place = ways.firstIndex(where: { $0.address.wire == text }) else {
        return
      }
      ways[place].source = source
      ways[place].dns = event.detail.value("dns")
      ways[place].dnssec = event.detail.value("dnssec")
    case .rerouted:
      guard let key = Self.address(text)?.lookupKey else { return }
      for place in ways.indices where ways[place].address.lookupKey == key { ways[place].isRerouted = true }
    default: break
    }
  }

  private static func client(_ facts: [TraceEvent.Detail]) -> Peer? {
    guard let text = facts.value("client") else { return nil }
    let local = facts.value("at").flatMap { Endpoint($0) } ?? .unix(path: "")
    let helo = facts.value("helo") ?? ""
    if text == "unix" { return Peer(remote: .unix(path: ""), local: local, helo: helo) }
    return IPAddress(parsing: text.utf8).map { Peer(remote: .ip($0, port: 0), local: local, helo: helo) }
  }

  private static func address(_ text: String) -> EmailAddress? {
    if text.asciiLowercased == "postmaster" { return EmailAddress(localPart: text, domain: "") }
    return try? AddressParser(allowsUTF8: true).mailbox(text)
  }
}
