import Bytes
import MailModel
import MailStore
import Outside

/// `martlet trace`
public struct ShowTrace: AdminCommand {
  /// A queue id, an address, or a Message-ID with or without its brackets.
  public var subject: String
  public var isJSON: Bool

  public init(subject: String, isJSON: Bool) {
    self.subject = subject
    self.isJSON = isJSON
  }

  /// Messages that an address or a Message-ID may name: the newest of them.
  static let messages = 100

  struct Message: Encodable {
    var id: String
    var events: [Event]
  }

  struct Event: Encodable {
    struct Detail: Encodable {
      var key: String
      var value: String
    }

    var time: String
    var kind: String
    var recipient: String?
    var detail: [Detail]
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    if let id = QueueID(subject) {
      let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
      guard !events.isEmpty else {
        throw AdminFailure("nothing is known of \(id): it never came, or its history is past its retention")
      }
      if isJSON { return try await context.sayJSON(events.map(Event.init)) }
      return try await say(id, events, context)
    }
    try await search(context)
  }

  private func search(_ context: AdminContext) async throws(AdminFailure) {
    guard subject.contains("@") else {
      throw AdminFailure("\(subject) is neither a queue id (13 letters and digits) nor an address nor a Message-ID", exitCode: 64)
    }
    let name = subject.hasPrefix("<") && subject.hasSuffix(">") ? String(subject.dropFirst().dropLast()) : subject
    let ids = try await context.asking { () async throws(StoreError) in
      try await context.store.traces(naming: name, limit: Self.messages)
    }
    guard !ids.isEmpty else { throw AdminFailure("no message of or for \(subject) is known") }
    var messages: [Message] = []
    for id in ids {
      let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
      if isJSON {
        messages.append(Message(id: id.description, events: events.map(Event.init)))
      } else {
        try await say(id, events, context)
      }
    }
    if isJSON { try await context.sayJSON(messages) }
  }

  private func say(_ id: QueueID, _ events: [TraceEvent], _ context: AdminContext) async throws(AdminFailure) {
    try await context.say("\(id)")
    try await TraceText.say(events, context)
  }
}

extension ShowTrace.Event {
  init(_ event: TraceEvent) {
    self.init(
      time: event.time.iso8601, kind: "\(event.kind)", recipient: event.recipient,
      detail: event.detail.map { .init(key: $0.key, value: $0.value) })
  }
}

/// A message's history for people: one line an event, facts behind it.
enum TraceText {
  static func say(_ events: [TraceEvent], _ context: AdminContext) async throws(AdminFailure) {
    for event in events { for line in lines(event, context) { try await context.say(line) } }
  }

  static func lines(_ event: TraceEvent, _ context: AdminContext) -> [String] {
    let name = "\(event.kind)"
    let space = String(repeating: " ", count: max(1, 12 - name.count))
    let facts = event.detail.map { "\($0.key)=\(quoted(readable($0, context)))" }
    var line = "  \(context.readable(event.time))  \(name)\(space)"
    if let recipient = event.recipient { line += "<\(String.escaped(recipient.utf8))>  " }
    // Facts that fit stand on the line, the rest below it.
    var lines: [String] = []
    for fact in facts {
      if line.count + fact.count > 140, line.contains("=") {
        lines.append(trimmed(line))
        line = String(repeating: " ", count: 35)
      }
      line += fact + "  "
    }
    lines.append(trimmed(line))
    return lines
  }

  /// A moment as a date, everything else as it is.
  private static func readable(_ detail: TraceEvent.Detail, _ context: AdminContext) -> String {
    guard detail.key == "next", let seconds = Int64(detail.value) else { return detail.value }
    return context.readable(Timestamp(seconds: seconds))
  }

  private static func trimmed(_ text: String) -> String {
    var text = text
    while text.last == " " { text.removeLast() }
    return text
  }

  private static func quoted(_ value: String) -> String {
    let escaped = String.escaped(value.utf8)
    return escaped.contains(" ") || escaped.isEmpty ? "\"\(escaped)\"" : escaped
  }
}
