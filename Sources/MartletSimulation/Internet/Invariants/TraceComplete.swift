import MailModel
import Outside

/// The trace alone tells what became of every recipient, and what it tells is so: what it calls delivered lies in the mailbox, what it calls
/// relayed the next host took under that id, what it calls bounced was told. Nothing is unknown.
enum TraceComplete {
  static let name = "trace complete"

  static func check(_ history: History, _ census: Census) -> (violations: [Violation], rebuilt: Int) {
    var checker = Checker(history, census)
    for token in history.order {
      guard let sent = history.sent[token] else { continue }
      for taken in sent.taken { checker.check(sent.server, taken.id, taken.recipients) }
    }
    for made in history.made where made.discarded == nil { checker.check(made.server, made.id, []) }
    // What one server was told by another as taken.
    for handed in history.handed where handed.kind == .delivered {
      guard let id = handed.reply.split(separator: " ").last.map(String.init), !handed.address.isEmpty else { continue }
      for message in census.anywhere(id) where message.server != handed.server {
        checker.check(message.server, id, [handed.address])
      }
    }
    for message in census.messages where message.outcomes.wasReceived { checker.check(message) }
    return (checker.violations, checker.rebuilt)
  }

  private struct Checker {
    let history: History
    let census: Census
    private let copies: Set<String>
    private let taken: Set<String>
    private let made: Set<String>
    var violations: [Violation] = []
    var rebuilt = 0

    init(_ history: History, _ census: Census) {
      self.history = history
      self.census = census
      copies = Set(history.copies.map { "\($0.server) \($0.message) \($0.user)" })
      taken = Set(history.taken.flatMap { taken in taken.recipients.map { "\(taken.id) \($0)" } })
      made = Set(history.made.map { "\($0.server) \($0.id)" })
    }

    private mutating func broken(_ what: String) { violations.append(Violation(invariant: name, what: what)) }

    /// Every recipient that somebody was told of has an end, or is queued.
    mutating func check(_ server: String, _ id: String, _ recipients: [String]) {
      guard census.unreadable[server] == nil else { return }
      guard let message = census[server, id], message.outcomes.wasReceived else {
        return broken("\(server) has no trace of \(id), which it took")
      }
      for recipient in recipients {
        for target in message.outcomes.expansions[recipient] ?? [recipient] {
          if message.outcomes.ends[target] == nil, !message.queued.contains(where: { $0.address.plain == target }) {
            broken("\(server): what became of \(target) of \(id) is unknown")
          }
        }
      }
    }

    /// What the trace says is so.
    mutating func check(_ message: Census.Message) {
      for (recipient, end) in message.outcomes.ends.sorted(by: { $0.key < $1.key }) {
        rebuilt += 1
        switch end {
        case .delivered:
          let user = String(recipient.prefix { $0 != "@" })
          if !copies.contains("\(message.server) \(message.id.rawValue) \(user)") {
            broken("\(message.server): \(message.id) is not in the mailbox of \(recipient)")
          }
        case .relayed(let reply):
          guard let id = reply.split(separator: " ").last.map(String.init) else { continue }
          if !taken.contains("\(id) \(recipient)"),
            census.anywhere(id).allSatisfy({ $0.server == message.server || !$0.outcomes.wasReceived })
          {
            broken("\(message.server): \(message.id) for \(recipient) was relayed as \(id), which nobody took")
          }
        case .bounced(let told):
          if told, !message.outcomes.notifications.contains(where: { made.contains("\(message.server) \($0)") }),
            !message.events.contains(where: { $0.kind == .discarded })
          {
            broken("\(message.server): \(message.id) for \(recipient) was bounced, and no notification was made")
          }
          if !told, history.sent[message.token]?.notify.wants("failed") ?? true {
            broken("\(message.server): \(message.id) for \(recipient) was bounced, and nobody was told, who wanted to hear of it")
          }
        case .discarded(let reason):
          if reason.isEmpty { broken("\(message.server): \(message.id) for \(recipient) was discarded without a reason") }
        case .removed, .held, .expanded: break
        }
        if message.queued.contains(where: { $0.address.plain == recipient && $0.destination != "local:delivered" }), end != .held {
          broken("\(message.server): \(message.id) for \(recipient) has ended and is queued")
        }
      }
    }
  }
}
