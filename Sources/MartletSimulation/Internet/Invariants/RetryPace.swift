import Outside

/// What failed for a while is not tried again before its time (RFC 5321, 4.5.4.1): not before nine tenths of the first pause.
///
/// The end of a message's lifetime makes one pause shorter, and a clock that is set makes due what had been put off: so one pause may be
/// short, and pauses in which the server's clock was set don't count.
enum RetryPace {
  static let name = "retry pace"
  /// The first pause is 5 min, a tenth shorter by chance.
  static let shortest = Duration.seconds(269)

  static func check(_ history: History) -> [Violation] {
    var last: [String: MonotonicInstant] = [:]
    var short: [String: (count: Int, what: String)] = [:]
    for handed in history.handed where handed.kind == .transient {
      let key = "\(handed.server) \(handed.life) \(handed.entry)"
      if let before = last[key], handed.at.since(before) < shortest,
        !(history.clocksSet[handed.server]?.contains { $0 >= before && $0 <= handed.at } ?? false)
      {
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
