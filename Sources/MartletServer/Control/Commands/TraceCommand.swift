import Bytes
import MailModel
import MailStore

/// `martlet trace`
public struct ShowTrace: AdminCommand {
  public var id: String
  public var isJSON: Bool

  public init(id: String, isJSON: Bool) {
    self.id = id
    self.isJSON = isJSON
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
    let id = try QueueWords.id(self.id)
    let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
    guard !events.isEmpty else {
      throw AdminFailure("nothing is known of \(id): it never came, or its history is past its retention")
    }
    if isJSON {
      return try await context.sayJSON(
        events.map { event in
          Event(
            time: event.time.iso8601, kind: "\(event.kind)", recipient: event.recipient,
            detail: event.detail.map { .init(key: $0.key, value: $0.value) })
        })
    }
    try await context.say("\(id)")
    try await TraceText.say(events, context)
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
    let facts = event.detail.map { "\($0.key)=\(quoted($0.value))" }
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
