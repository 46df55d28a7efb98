import Bytes
import MailModel
import Outside

/// A message's history for people: what a tired person asks first, then one line an event, facts behind it.
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

  // MARK: Headings

  /// The id with who sent the message, from where, when.
  static func heading(_ id: QueueID, _ story: TraceStory, _ context: AdminContext) -> String {
    var line = "\(id)"
    if let about = story.about {
      line += "  our notification (\(story.origin("notification") ?? "")) about \(about)"
    } else if let sender = story.sender {
      line += "  from <\(String.escaped(sender.utf8))>"
    }
    if let original = story.origin("expanded-from") { line += ", expanded from \(original)" }
    if let client = story.origin("client") {
      let helo = story.origin("helo").map { $0.isEmpty ? "" : ", helo \($0)" } ?? ""
      let tls = story.origin("with").map { _ in story.origin("tls").map { ", \($0)" } ?? ", in clear" } ?? ""
      line += " at \(String.escaped((client + helo + tls).utf8))"
    }
    if let received = story.received { line += "; \(context.readable(received))" }
    if let messageID = story.messageID { line += "; <\(String.escaped(messageID.utf8, limit: 200))>" }
    return line
  }

  /// One sentence a recipient: where is it, and why?
  static func sentence(_ recipient: TraceStory.Recipient, _ story: TraceStory, _ context: AdminContext) -> String {
    "  \(String.escaped(recipient.address.utf8)): " + String.escaped(words(recipient, story, context).utf8, limit: 2_000)
  }

  private static func words(_ recipient: TraceStory.Recipient, _ story: TraceStory, _ context: AdminContext) -> String {
    let reason = recipient.reason ?? "no reason is recorded"
    // What a notification gives as the reason names the host already.
    let said = recipient.host.map { reason.contains(" said: ") ? reason : "\($0) said: \(reason)" } ?? reason
    switch recipient.outcome {
    case .accepted: return "taken; what became of it is not recorded"
    case .queued: return recipient.attempts == 0 ? "waits in the queue, not tried yet" : "waits in the queue; last: \(said)"
    case .deferred:
      let tries = recipient.attempts == 1 ? "one attempt" : "\(recipient.attempts) attempts"
      let next = recipient.next.map { ", tried again \(context.relative(Timestamp(seconds: $0)))" } ?? ""
      return "waits after \(tries)\(next); last: \(said)"
    case .kept:
      let tries = recipient.attempts == 1 ? "one attempt" : "\(recipient.attempts) attempts"
      let next = recipient.next.map { ", tried again \(context.relative(Timestamp(seconds: $0)))" } ?? ""
      return "failed for ever after \(tries), kept instead of returned (soft-bounce)\(next); last: \(said)"
    case .held: return "held until a postmaster releases it; \(said)"
    case .delivered:
      let place = "in \(recipient.mailbox ?? "a mailbox")\(recipient.uid.map { " as UID \($0)" } ?? "")"
      if let moved = recipient.moved {
        return "\(place), moved there \(context.readable(moved)); delivered \(span(recipient, story))"
      }
      return "\(place), delivered \(span(recipient, story))"
    case .relayed: return "taken over by another host \(span(recipient, story)); \(said)"
    case .expanded: return "stands for \(recipient.to ?? "others") (\(reason))"
    case .bounced:
      let told = recipient.notification.map { "its sender was told in \($0)" } ?? "its sender was not told"
      return "returned \(span(recipient, story)), \(told); \(said)"
    case .discarded: return "discarded; \(said)"
    case .refused where story.isCutOff:
      return "never came whole, nothing was taken: \(story.origin("reason") ?? reason)"
    case .refused: return "refused, never taken: \(reason)\(story.origin("reason").map { $0 == reason ? "" : " (\($0))" } ?? "")"
    case .removed: return "removed from the queue by a postmaster"
    case .expunged:
      let when = recipient.time.map { " \(context.readable($0))" } ?? ""
      return "was in \(recipient.mailbox ?? "a mailbox")\(recipient.uid.map { " as UID \($0)" } ?? ""), removed\(when)"
    }
  }

  /// How long after the message came.
  private static func span(_ recipient: TraceStory.Recipient, _ story: TraceStory) -> String {
    guard let received = story.received, let time = recipient.time else { return "at an unknown time" }
    let seconds = time.since(received).components.seconds
    switch seconds {
    case ..<1: return "at once"
    case ..<120: return "\(seconds) s after it came"
    case ..<7_200: return "\(seconds / 60) min after it came"
    case ..<172_800: return "\(seconds / 3_600) h after it came"
    default: return "\(seconds / 86_400) days after it came"
    }
  }
}
