import MailModel

/// Nothing is anywhere that nobody sent there: a mailbox holds what was for its owner, another host took what was for a recipient whom it
/// serves, and a queue has nobody who was not named, or stood behind a name. Notifications are for the sender of what they are about, or
/// for the postmaster.
enum Addressees {
  static let name = "addressees"

  static func check(_ history: History, _ census: Census, lists: [String: [String]]) -> [Violation] {
    var violations: [Violation] = []
    func broken(_ what: String) { violations.append(Violation(invariant: name, what: what)) }
    let reached = history.sent.mapValues { sent in Set(sent.recipients + sent.recipients.flatMap { lists[$0] ?? [] }) }
    for copy in history.copies {
      let owner = "\(copy.user)@\(copy.server).sim"
      if copy.isReport {
        guard copy.user != "postmaster", history.sent[copy.token]?.sender != owner else { continue }
        broken("a notification about \(copy.token) lies in the mailbox of \(owner), who did not send it")
      } else if let reached = reached[copy.token], !reached.contains(owner) {
        broken("\(copy.token) lies in the mailbox of \(owner), who was no recipient")
      }
    }
    for taken in history.taken {
      for recipient in taken.recipients {
        if host(of: recipient) != taken.host { broken("\(taken.host) took \(taken.id) for \(recipient), whom it does not serve") }
        if taken.report == nil, let reached = reached[taken.token], !reached.contains(recipient) {
          broken("\(taken.host) took \(taken.id) (\(taken.token)) for \(recipient), who was no recipient")
        }
      }
    }
    for message in census.messages {
      guard let reached = reached[message.token] else { continue }
      for recipient in message.named.sorted() where !reached.contains(recipient) {
        broken("\(message.server) has \(message.id) (\(message.token)) for \(recipient), who was no recipient")
      }
    }
    return violations
  }

  /// Who serves an address: odd domains lead to the first host, as far as they lead anywhere.
  static func host(of address: String) -> String {
    let label = String(address.split(separator: "@").last?.split(separator: ".").first ?? "")
    let isOwn = label.first.map { "hs".contains($0) } ?? false && label.dropFirst().allSatisfy(\.isNumber) && label.count > 1
    return isOwn ? label : "h0"
  }
}
