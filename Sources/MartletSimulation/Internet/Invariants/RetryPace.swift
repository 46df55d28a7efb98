import Outside

/// What failed for a while is not tried again before its time (RFC 5321, 4.5.4.1): not before nine tenths of the first pause.
///
/// The end of a message's lifetime makes one pause shorter, and a clock that is set back makes due what it had put off: so one pause may be
/// short, and servers whose clock was set are left out.
enum RetryPace {
  static let name = "retry pace"
  /// The first pause is 5 min, a tenth shorter by chance.
  static let shortest = Duration.seconds(269)

  static func check(_ history: History, clocksSet: Set<String>) -> [Violation] {
    var last: [String: MonotonicInstant] = [:]
    var short: [String: (count: Int, what: String)] = [:]
    for handed in history.handed where handed.kind == .transient && !clocksSet.contains(handed.server) {
      let key = "\(handed.server) \(handed.life) \(handed.entry)"
      if let before = last[key], handed.at.since(before) < shortest {
        short[key, default: (0, "")].count += 1
        short[key]?.what = "\(handed.server) tried \(handed.message) for \(handed.address) again after \(handed.at.since(before))"
      }
      last[key] = handed.at
    }
    return short.sorted { $0.key < $1.key }.filter { $0.value.count > 1 }.map {
      Violation(invariant: name, what: "\($0.value.what), and \($0.value.count) times in all")
    }
  }
}
