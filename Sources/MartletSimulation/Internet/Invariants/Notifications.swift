import Outside

/// Senders hear what they asked to hear and nothing else (RFC 3461, 4.1), and of one stage of one recipient they hear once. That nobody who
/// is to hear is forgotten, `Conservation` and `TraceComplete` say.
enum Notifications {
  static let name = "notifications"
  /// What a notification lets go of is recorded with it; a process that dies in between makes it again. No process takes longer over it.
  private static let turn = Duration.seconds(1)

  static func check(_ history: History, _ census: Census) -> [Violation] {
    unwanted(history, census) + repeated(history)
  }

  private static func unwanted(_ history: History, _ census: Census) -> [Violation] {
    var violations: [Violation] = []
    for made in history.made where made.discarded == nil && !made.isForPostmaster {
      guard let token = census[made.server, made.subject]?.token, let sent = history.sent[token] else { continue }
      guard !sent.notify.wants(made.stage) else { continue }
      violations.append(
        Violation(
          invariant: name,
          what: "\(made.server) told \(made.recipient) that \(made.subject) (\(token)) \(made.stage), who had asked for "
            + (sent.notify?.rawValue ?? "nothing")))
    }
    return violations
  }

  private static func repeated(_ history: History) -> [Violation] {
    var groups: [String: [History.Made]] = [:]
    for made in history.made where made.discarded == nil {
      for recipient in made.told {
        let key = "\(made.server) told \(made.recipient) of \(made.subject) for \(recipient): \(made.stage)"
        groups[key, default: []].append(made)
      }
    }
    var violations: [Violation] = []
    for (key, made) in groups.sorted(by: { $0.key < $1.key }) where made.count > 1 {
      let needless = zip(made, made.dropFirst()).filter { !mustRepeat($0, before: $1.at, history) }
      guard !needless.isEmpty else { continue }
      violations.append(Violation(invariant: name, what: "\(key), \(made.count) times, \(needless.count) without need"))
    }
    return violations
  }

  /// Whether the process that made it died before it could let go of the recipient.
  private static func mustRepeat(_ made: History.Made, before next: MonotonicInstant, _ history: History) -> Bool {
    guard let died = history.life(made.server, made.life)?.ended, died >= made.at, died <= next else { return false }
    return died.since(made.at) <= turn || history.hadTrouble(made.server, from: made.at, until: died)
  }
}
