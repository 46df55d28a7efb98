import MailModel
import Outside

/// No message is lost: each recipient that anybody was told of as taken has a copy in a mailbox or at another host, is queued, has come
/// back to its sender (unless the sender asked not to hear of failures), or was discarded with a reason. And nothing is anywhere that nobody
/// sent, or other than it was sent.
///
/// Judged by what lies in mailboxes, what other hosts took, what is queued and which notifications were made; the trace is asked only
/// for the reason of what was discarded.
enum Conservation {
  static let name = "conservation"

  static func check(_ history: History, _ census: Census, lists: [String: [String]]) -> [Violation] {
    var places = Places(history, census)
    var violations: [Violation] = []
    func broken(_ what: String) { violations.append(Violation(invariant: name, what: what)) }
    for (server, why) in census.unreadable.sorted(by: { $0.key < $1.key }) { broken("\(server) can't be looked into: \(why)") }
    for token in history.order {
      guard let sent = history.sent[token] else { continue }
      for taken in sent.taken {
        for recipient in taken.recipients {
          // A list that has not been opened yet, or could not be, is where it is as such.
          for address in lists[recipient] ?? [recipient] where !places.holds(token, address) && !places.holds(token, recipient) {
            broken("\(token) for \(address), which \(sent.server) took as \(taken.id), is nowhere")
          }
        }
      }
    }
    for made in history.made where made.discarded == nil {
      guard census.unreadable[made.server] == nil else { continue }
      guard let found = census[made.server, made.id] else {
        broken("notification \(made.id) of \(made.server) about \(made.subject) is nowhere")
        continue
      }
      if found.queued.isEmpty, found.outcomes.ends.isEmpty {
        broken("notification \(made.id) of \(made.server) to \(made.recipient) came to no end")
      }
    }
    for taken in history.taken {
      if taken.report == nil, history.sent[taken.token] == nil {
        broken("\(taken.host) took \(taken.id), which nobody sent (\(taken.token))")
      } else if !taken.isIntact {
        broken("\(taken.host) took \(taken.id) (\(taken.token)), which is not what was sent")
      }
    }
    return violations
  }

  /// Where each message is, by token and recipient.
  private struct Places {
    private var found: Set<String> = []

    init(_ history: History, _ census: Census) {
      for copy in history.copies where !copy.isReport { found.insert("\(copy.token) \(copy.user)@\(copy.server).sim") }
      for taken in history.taken { for recipient in taken.recipients { found.insert("\(taken.token) \(recipient)") } }
      for message in census.messages where !message.token.isEmpty {
        for entry in message.queued { found.insert("\(message.token) \(entry.address.plain)") }
        for (recipient, end) in message.outcomes.ends {
          if case .discarded(let reason) = end, !reason.isEmpty { found.insert("\(message.token) \(recipient)") }
          if case .bounced(told: false) = end, history.sent[message.token]?.notify.wants("failed") == false {
            found.insert("\(message.token) \(recipient)")
          }
        }
      }
      for made in history.made where made.stage == "failed" {
        guard let token = census[made.server, made.subject]?.token, !token.isEmpty else { continue }
        for recipient in made.told { found.insert("\(token) \(recipient)") }
      }
    }

    mutating func holds(_ token: String, _ address: String) -> Bool { found.contains("\(token) \(address)") }
  }
}
