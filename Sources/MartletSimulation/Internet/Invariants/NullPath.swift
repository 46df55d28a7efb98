import Outside

/// Nobody is told anything about a message from the null path (RFC 5321, 4.5.5) but the postmaster of the host that could not serve it,
/// and every notification has the null path itself (RFC 3461, 6.1).
enum NullPath {
  static let name = "null path"

  static func check(_ history: History, _ census: Census) -> [Violation] {
    var violations: [Violation] = []
    let notifications = Set(history.made.map { "\($0.server) \($0.id)" })
    for made in history.made where made.discarded == nil && !made.isForPostmaster {
      let token = census[made.server, made.subject]?.token ?? ""
      let hasNullPath =
        notifications.contains("\(made.server) \(made.subject)") || (history.sent[token].map { $0.sender == nil } ?? false)
      if hasNullPath {
        violations.append(
          Violation(
            invariant: name,
            what: "\(made.server) told \(made.recipient) of \(made.subject) (\(token)), which came from the null path"))
      }
    }
    for taken in history.taken where taken.report != nil {
      if let sender = taken.sender {
        violations.append(Violation(invariant: name, what: "\(taken.host) got notification \(taken.id) from <\(sender)>"))
      }
    }
    return violations
  }
}
