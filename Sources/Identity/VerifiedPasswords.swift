import MailModel
import Outside
import SASL
import Synchronization

/// Passwords that were right a moment ago, so that a phone that logs in all day costs one hash in ten minutes.
///
/// Kept is a keyed digest of the account, its stored hash and the password: a changed password is another, a memory dump holds none, and the
/// key dies with the process. Bounded in number; the oldest goes first.
final class VerifiedPasswords: Sendable {
  private struct State {
    var ends: [[UInt8]: MonotonicInstant] = [:]
    /// In the order in which they came, and so in which they end; the first `gone` of them are no more.
    var order: [(digest: [UInt8], end: MonotonicInstant)] = []
    var gone = 0
  }

  private let secret: [UInt8]
  private let clock: any Clock
  private let limits: PasswordLimits
  private let state = Mutex(State())

  /// - Parameter secret: 32 octets that nobody can guess, for this process.
  init(secret: [UInt8], clock: any Clock, limits: PasswordLimits) {
    self.secret = secret
    self.clock = clock
    self.limits = limits
  }

  func contains(_ account: AccountID, hash: String, password: [UInt8]) -> Bool {
    let digest = digest(account, hash, password)
    guard !digest.isEmpty else { return false }
    let now = clock.monotonic()
    return state.withLock { $0.ends[digest].map { $0 > now } ?? false }
  }

  func insert(_ account: AccountID, hash: String, password: [UInt8]) {
    let digest = digest(account, hash, password)
    guard !digest.isEmpty, limits.remembered > 0 else { return }
    let now = clock.monotonic()
    let end = now.advanced(by: limits.rememberedFor)
    state.withLock { state in
      state.ends[digest] = end
      state.order.append((digest, end))
      while state.gone < state.order.count, state.ends.count > limits.remembered || state.order[state.gone].end <= now {
        let oldest = state.order[state.gone]
        // One that was renewed stands further back once more.
        if state.ends[oldest.digest] == oldest.end { state.ends[oldest.digest] = nil }
        state.gone += 1
      }
      if state.gone > 1_024, state.gone > state.order.count / 2 {
        state.order.removeFirst(state.gone)
        state.gone = 0
      }
    }
  }

  /// How many there are, those that have ended but not gone yet too.
  var count: Int { state.withLock { $0.ends.count } }

  private func digest(_ account: AccountID, _ hash: String, _ password: [UInt8]) -> [UInt8] {
    var message = Array("\(account.rawValue)\u{0}\(hash)\u{0}".utf8)
    message += password
    return ScramHash.sha256.hmac(key: secret, message)
  }
}
