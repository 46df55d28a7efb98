import Bytes
import InternetMessage
import MailModel

/// What of a message for many concerns an address that was asked for.
struct TraceFocus {
  /// As they stand in the trace: those of that name, those that led there, and those that they led to.
  let recipients: Set<String>
  /// How many recipients are left out.
  let others: Int

  /// Recipients of a message up to which all of them are told: 10.
  private static let few = 10

  /// Nil: all of it is to be told, since it has few recipients, or since none of them was asked for (its sender was, or its Message-ID).
  init?(names: [String], _ events: [TraceEvent], _ story: TraceStory) {
    guard story.recipients.count > Self.few else { return nil }
    let wanted = Set(names.map { name in Self.key(name) })
    let all = story.recipients.map(\.address)
    var found = Set(all.filter { wanted.contains(Self.key($0)) || wanted.contains(Self.account($0)) })
    for event in events where event.kind == .expanded {
      guard let from = event.recipient, let targets = event.detail.value("to")?.split(separator: " ").map(String.init) else {
        continue
      }
      if found.contains(from) { found.formUnion(targets) }
      if targets.contains(where: { found.contains($0) }) { found.insert(from) }
    }
    found.formIntersection(all)
    guard !found.isEmpty, found.count < all.count else { return nil }
    recipients = found
    others = all.count - found.count
  }

  /// Whether the event is of the whole message or of one of those.
  func concerns(_ event: TraceEvent) -> Bool { event.recipient.map { recipients.contains($0) } ?? true }

  /// The form in which addresses are compared.
  private static func key(_ text: String) -> String {
    (try? AddressParser(allowsUTF8: true).mailbox(text).lookupKey) ?? text.asciiLowercased
  }

  /// The address without what follows a `+` in its local part: the account's, mostly.
  private static func account(_ text: String) -> String {
    guard let at = text.lastIndex(of: "@"), let plus = text[..<at].firstIndex(of: "+"), plus > text.startIndex else { return "" }
    return key(String(text[..<plus] + text[at...]))
  }
}
