import Outside

/// What is remembered of hosts for a while: where TLS failed, which addresses did not answer, who misunderstood BDAT. Bounded.
struct HostMemory {
  private var marks: [String: MonotonicInstant] = [:]
  private let limit: Int

  init(limit: Int) { self.limit = max(limit, 1) }

  /// Whether `key` is marked at `now`.
  func isMarked(_ key: String, at now: MonotonicInstant) -> Bool {
    guard let until = marks[key] else { return false }
    return now < until
  }

  /// Marks `key` until then. When there are too many, those that are over go, and if none is, all go: forgetting costs one more try.
  mutating func mark(_ key: String, until: MonotonicInstant, now: MonotonicInstant) {
    if marks.count >= limit, marks[key] == nil {
      marks = marks.filter { $0.value > now }
      if marks.count >= limit { marks = [:] }
    }
    marks[key] = until
  }

  mutating func clear(_ key: String) { marks[key] = nil }
}
