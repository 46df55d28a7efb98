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

  public init(subject: String, isJSON: Bool, since: String? = nil) {
    self.subject = subject
    self.isJSON = isJSON
    self.since = since
  }

  /// Messages that an address or a Message-ID may name: the newest of them.
  public static let messages = 100

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
    if let id = QueueID(subject) {
      let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
      guard !events.isEmpty, earliest.map({ id.time >= $0 }) ?? true else {
        throw AdminFailure("nothing is known of \(id): it never came, or its history is past its retention")
      }
      if isJSON { return try await context.sayJSON(Message(id, events)) }
      return try await say(id, events, context)
    }
    try await search(since: earliest, context)
  }

  private func search(since earliest: Timestamp?, _ context: AdminContext) async throws(AdminFailure) {
    guard subject.contains("@") else {
      throw AdminFailure("\(subject) is neither a queue id (13 letters and digits) nor an address nor a Message-ID", exitCode: 64)
    }
    let ids = try await context.asking { () async throws(StoreError) in
      try await context.store.traces(naming: Self.name(subject), since: earliest, limit: Self.messages)
    }
    guard !ids.isEmpty else {
      throw AdminFailure("no message of or for \(subject) is known\(since.map { " since \($0)" } ?? "")")
    }
    var array = JSONPieces()
    for id in ids {
      let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
      if isJSON {
        try await context.write(array.adding([Message(id, events)]))
      } else {
        try await say(id, events, context)
      }
    }
    if isJSON { return try await context.write(array.ending()) }
    if ids.count == Self.messages { try await context.warn("these are the newest \(Self.messages); --since narrows it down") }
  }

  /// An address in the one form it is kept in, quotes resolved; anything else as it is.
  static func name(_ text: String) -> String {
    let bare = text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
    guard bare.utf8.first == 0x22, let address = try? AddressParser(allowsUTF8: true).mailbox(bare) else { return bare }
    return "\(address.localPart)@\(address.domain)"
  }

  private func say(_ id: QueueID, _ events: [TraceEvent], _ context: AdminContext) async throws(AdminFailure) {
    let story = TraceStory(events)
    try await context.say(TraceText.heading(id, story, context))
    for recipient in story.recipients { try await context.say(TraceText.sentence(recipient, story, context)) }
    try await TraceText.say(events, context)
  }
}

extension ShowTrace.Message {
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

/// `--since`: a duration before now, or a date, in the zone of the person who asks unless it says `Z`.
enum SinceWords {
  static func time(_ text: String, _ context: AdminContext) throws(AdminFailure) -> Timestamp {
    if text.hasSuffix("w"), let weeks = Int64(text.dropLast()), weeks >= 0, weeks <= 5_200 {
      return context.clock.now().advanced(by: .seconds(-weeks * 604_800))
    }
    if let duration = Duration(configurationText: text) {
      return context.clock.now().advanced(by: .seconds(-duration.components.seconds))
    }
    guard let seconds = civil(text) else {
      throw AdminFailure(
        "--since \(text): expected a duration (30m, 2h, 3d, 1w) or a date (2026-11-28, 2026-11-28T14:30, 2026-11-28T14:30:00Z)",
        exitCode: 64)
    }
    guard !text.hasSuffix("Z") else { return Timestamp(seconds: seconds) }
    return Timestamp(seconds: seconds.subtractedClamped(context.zoneOffset(at: Timestamp(seconds: seconds))))
  }

  /// Seconds since 1970 if the clock reads UTC.
  private static func civil(_ text: String) -> Int64? {
    var text = text[...]
    if text.hasSuffix("Z") { text = text.dropLast() }
    let parts = text.split(whereSeparator: { $0 == "T" || $0 == " " }).map(String.init)
    guard let date = parts.first, parts.count <= 2 else { return nil }
    let days = date.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
    guard days.count == 3, let year = days[0], let month = days[1], let day = days[2], (1970...9_999).contains(year),
      (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    var seconds = CivilTime.days(year: year, month: month, day: day) * 86_400
    if parts.count == 2 {
      let clock = parts[1].split(separator: ":", omittingEmptySubsequences: false).map { Int64($0) }
      guard clock.count == 2 || clock.count == 3, let hour = clock[0], let minute = clock[1], (0...23).contains(hour),
        (0...59).contains(minute)
      else { return nil }
      guard let second = clock.count == 3 ? clock[2] : 0, (0...60).contains(second) else { return nil }
      seconds += hour * 3_600 + minute * 60 + second
    }
    return seconds
  }
}
