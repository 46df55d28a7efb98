import Bytes
import InternetMessage
import MailModel
import MailStore
import Outside

/// `martlet trace`
public struct ShowTrace: AdminCommand {
  /// A queue id, an address, or a Message-ID with or without its brackets.
  public var subject: String
  public var isJSON: Bool
  /// `2h`, `3d`, `2026-11-28`: messages that came before are left out. Nil: none.
  public var since: String?

  /// A time as for `since`: messages that came then or later are left out; or a queue id: that message and later ones. Nil: none.
  public var until: String?
  /// Messages that an address or a Message-ID may show: the newest of them.
  public var limit: Int

  public init(subject: String, isJSON: Bool, since: String? = nil, until: String? = nil, limit: Int = messages) {
    self.subject = subject
    self.isJSON = isJSON
    self.since = since
    self.until = until
    self.limit = limit
  }

  /// Messages that an address or a Message-ID shows unless told otherwise.
  public static let messages = 100
  /// Messages that are asked of the store at a time.
  private static let page = 500

  struct Message: Encodable {
    struct Recipient: Encodable {
      var address: String
      var outcome: String
      var time: String?
      var reason: String?
      var host: String?
      var mailbox: String?
      var uid: Int?
      var attempts: Int
      var next: String?
      var to: String?
      var notification: String?
    }

    var id: String
    var messageID: String?
    /// Empty for the null path.
    var sender: String?
    var received: String?
    /// The message that this notification is about.
    var about: String?
    var recipients: [Recipient]
    var notifications: [TraceStory.Notification]
    var events: [Event]
  }

  struct Event: Encodable {
    var time: String
    var kind: String
    var recipient: String?
    var detail: [String: String]
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let earliest = try since.map { words throws(AdminFailure) in try SinceWords.time(words, context) }
    let end = try until.map { words throws(AdminFailure) in
      if let id = QueueID(words) { return id }
      return QueueID(at: try SinceWords.time(words, context, option: "--until"), randomness: 0)
    }
    if let id = QueueID(subject) {
      let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
      let isWanted = earliest.map { id.time >= $0 } ?? true && end.map { id < $0 } ?? true
      if !events.isEmpty, isWanted {
        if isJSON { return try await context.sayJSON(Message(id, events)) }
        return try await say(id, events, nil, context)
      }
    }
    try await search(since: earliest, before: end, context)
  }

  /// Page by page, so that any number costs no memory.
  private func search(since earliest: Timestamp?, before end: QueueID?, _ context: AdminContext) async throws(AdminFailure) {
    let names = Self.names(subject, of: context.configuration.hostname)
    var array = JSONPieces()
    var next = end
    var count = 0
    while count < limit {
      let (before, wanted) = (next, min(limit - count, Self.page))
      var found: Set<QueueID> = []
      for name in names {
        found.formUnion(
          try await context.asking { () async throws(StoreError) in
            try await context.store.traces(naming: name, since: earliest, before: before, limit: wanted)
          })
      }
      let ids = found.sorted(by: >).prefix(wanted)
      for id in ids {
        let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
        if isJSON {
          try await context.write(array.adding([Message(id, events)]))
        } else {
          try await say(id, events, names, context)
        }
      }
      count += ids.count
      next = ids.last ?? next
      guard ids.count == wanted else { break }
    }
    guard count > 0 else { throw nothingFound }
    if isJSON { try await context.write(array.ending()) }
    if count == limit, let next {
      try await context.warn("these are the newest \(count); for those before them: --until \(next), for more at once: --limit")
    }
  }

  private var nothingFound: AdminFailure {
    let shown = String.escaped(subject.utf8, limit: 300)
    if let id = QueueID(subject) {
      return AdminFailure("nothing is known of \(id): it never came, or its history is past its retention")
    }
    guard subject.contains("@") || subject.hasPrefix("<") || subject.asciiLowercased == "postmaster" else {
      return AdminFailure("\(shown) is neither a queue id (13 letters and digits) nor an address nor a Message-ID", exitCode: 64)
    }
    let bounds = [since.map { " since \($0)" }, until.map { " until \($0)" }].compactMap { $0 }.joined()
    return AdminFailure("no message of or for \(shown) is known\(bounds)")
  }

  /// What it may stand under in the trace. This host's postmaster has an address with and one without a domain (RFC 5321, 4.5.1).
  static func names(_ subject: String, of hostname: String) -> [String] {
    let name = name(subject)
    switch name.asciiLowercased {
    case "postmaster": return [name, "postmaster@\(hostname)"]
    case "postmaster@\(hostname.asciiLowercased)": return [name, "postmaster"]
    default: return [name]
    }
  }

  /// An address in the one form it is kept in, quotes resolved; anything else as it is.
  static func name(_ text: String) -> String {
    let bare = text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
    guard bare.utf8.first == 0x22, let address = try? AddressParser(allowsUTF8: true).mailbox(bare) else { return bare }
    return "\(address.localPart)@\(address.domain)"
  }

  /// - Parameter names: what was asked for; of a message for many, only what concerns it is told.
  private func say(
    _ id: QueueID, _ events: [TraceEvent], _ names: [String]?, _ context: AdminContext
  ) async throws(AdminFailure) {
    let story = TraceStory(events)
    let focus = names.flatMap { TraceFocus(names: $0, events, story) }
    try await context.say(TraceText.heading(id, story, context))
    for recipient in story.recipients where focus?.recipients.contains(recipient.address) ?? true {
      try await context.say(TraceText.sentence(recipient, story, context))
    }
    if let focus { try await context.say("  and \(focus.others) other recipients: martlet trace \(id)") }
    try await TraceText.say(events.filter { focus?.concerns($0) ?? true }, context)
  }
}

extension ShowTrace.Message {
  private enum CodingKeys: String, CodingKey {
    case id, messageID, sender, received, about, recipients, notifications, events
  }

  /// What every message has is always there, `null` where it is not known.
  func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(id, forKey: .id)
    try values.encode(messageID, forKey: .messageID)
    try values.encode(sender, forKey: .sender)
    try values.encode(received, forKey: .received)
    try values.encodeIfPresent(about, forKey: .about)
    try values.encode(recipients, forKey: .recipients)
    try values.encode(notifications, forKey: .notifications)
    try values.encode(events, forKey: .events)
  }

  init(_ id: QueueID, _ events: [TraceEvent]) {
    let story = TraceStory(events)
    self.init(
      id: id.description, messageID: story.messageID, sender: story.sender, received: story.received?.iso8601, about: story.about,
      recipients: story.recipients.map { recipient in
        Recipient(
          address: recipient.address, outcome: recipient.outcome.rawValue, time: recipient.time?.iso8601, reason: recipient.reason,
          host: recipient.host, mailbox: recipient.mailbox, uid: recipient.uid.flatMap { Int($0) }, attempts: recipient.attempts,
          next: recipient.next.map { Timestamp(seconds: $0).iso8601 }, to: recipient.to, notification: recipient.notification)
      }, notifications: story.notifications, events: events.map(ShowTrace.Event.init))
  }
}

extension ShowTrace.Event {
  init(_ event: TraceEvent) {
    self.init(
      time: event.time.iso8601, kind: "\(event.kind)", recipient: event.recipient,
      detail: Dictionary(event.detail.map { ($0.key, $0.value) }, uniquingKeysWith: { "\($0); \($1)" }))
  }
}
