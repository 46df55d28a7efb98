/// What a client of the simulation asks to be told of its message (RFC 3461, 4.1).
enum Notify: String, Sendable, CaseIterable {
  case never = "NEVER"
  case failure = "FAILURE"
  case successDelay = "SUCCESS,DELAY"
}

extension Notify? {
  /// Whether a notification of `stage` is wanted; who asked for nothing hears of failures and delays.
  func wants(_ stage: String) -> Bool {
    switch (stage, self) {
    case ("failed", nil), ("failed", .failure): true
    case ("delayed", nil), ("delayed", .successDelay): true
    case ("delivered", .successDelay), ("relayed", .successDelay), ("expanded", .successDelay): true
    default: false
    }
  }
}
