import MailModel
import Outside

/// Mail that was refused answers too: each refusal that a client was given at MAIL, RCPT or after the message stands in the trace of the
/// server that gave it, with client, recipients and reply.
enum TraceOfRefusals {
  /// What is noted of a refusal waits so long for a commit (`StoreLimits.lazyWait`); a process that dies meanwhile takes it along.
  private static let lazily = Duration.milliseconds(50)
  /// A reply is on its way for no longer.
  private static let way = Duration.seconds(1)

  /// - Returns: what is broken, and how many refusals the trace told of.
  static func check(_ history: History, _ census: Census) -> (violations: [Violation], told: Int) {
    var noted: [String: Int] = [:]
    // Many of one client within a minute are told as a number.
    var omitted: [String: Int] = [:]
    for message in census.messages where message.outcomes.wasRefused {
      for event in message.events where event.kind == .refused {
        if let (client, count) = together(event) {
          omitted["\(message.server) \(client)", default: 0] += count
        } else {
          noted[key(message.server, event), default: 0] += 1
        }
      }
    }
    var given: [String: [History.Refused]] = [:]
    for refused in history.refusals where census.unreadable[refused.server] == nil && isNoted(refused) {
      given[key(refused), default: []].append(refused)
    }
    var violations: [Violation] = []
    var told = 0
    for (key, refusals) in given.sorted(by: { $0.key < $1.key }) {
      let count = min(noted[key] ?? 0, refusals.count)
      told += count
      // Which of several that read the same are told can't be seen.
      var lost = refusals.count - count - refusals.filter { mayBeLost($0, history) }.count
      guard lost > 0, let first = refusals.first else { continue }
      let client = "\(first.server) \(first.client)"
      let counted = min(omitted[client] ?? 0, lost)
      omitted[client, default: 0] -= counted
      lost -= counted
      guard lost > 0 else { continue }
      violations.append(
        Violation(invariant: TraceComplete.name, what: "of \(refusals.count) refusals the trace tells of \(count): \(key)"))
    }
    return (violations, told)
  }

  /// A server that is ending says so and nothing else.
  private static func isNoted(_ refused: History.Refused) -> Bool { !refused.reply.hasPrefix("421") }

  /// Its server died before the note was durable: while its disk takes nothing, that is as long as the trouble lasts.
  private static func mayBeLost(_ refused: History.Refused, _ history: History) -> Bool {
    let from = refused.at.advanced(by: .zero - way)
    let until = history.troubleEnds(refused.server, from: from, until: refused.at) ?? refused.at
    return history.died(refused.server, from: from, until: until.advanced(by: lazily))
  }

  /// The client and the number of refusals that were told together; nil: it is one refusal.
  private static func together(_ event: TraceEvent) -> (client: String, count: Int)? {
    guard let count = event.detail.first(where: { $0.key == "omitted" }).flatMap({ Int($0.value) }) else { return nil }
    let network = event.detail.first { $0.key == "client" }?.value ?? ""
    return (String(network.prefix { $0 != "/" }), count)
  }

  private static func key(_ refused: History.Refused) -> String {
    "\(refused.server) \(refused.client) \(refused.stage.rawValue) <\(refused.sender ?? "")> "
      + "<\(refused.recipients.joined(separator: " "))> \(refused.reply)"
  }

  private static func key(_ server: String, _ event: TraceEvent) -> String {
    func detail(_ key: String) -> String { event.detail.first { $0.key == key }?.value ?? "" }
    let sender = detail("from") == "<>" ? "" : detail("from")
    return "\(server) \(detail("client")) \(detail("stage")) <\(sender)> <\(event.recipient ?? detail("to"))> \(detail("reply"))"
  }
}
