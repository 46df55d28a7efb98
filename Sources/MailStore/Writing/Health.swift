import Outside
import Synchronization

/// Whether the store can be written: what failed, and whether there is space.
final class Health: Sendable {
  private struct State {
    var failure: String?
    var isShort = false
  }

  private let state = Mutex(State())
  private let onFailure: @Sendable () -> Void
  private let onShortage: @Sendable () -> Void

  init(onFailure: @escaping @Sendable () -> Void, onShortage: @escaping @Sendable () -> Void) {
    self.onFailure = onFailure
    self.onShortage = onShortage
  }

  /// No write or sync has failed since the database was last found whole.
  var mayWrite: Bool { state.withLock { $0.failure == nil } }

  /// What failed; nil while all is well.
  var failure: String? { state.withLock { $0.failure } }

  /// Only what frees space goes on.
  var isShortOfSpace: Bool { state.withLock { $0.isShort } }

  /// A write, sync or read of the database failed: nothing is written until it was opened anew and found whole.
  func failed(_ reason: String) {
    let isFirst = state.withLock { state in
      defer { if state.failure == nil { state.failure = reason } }
      return state.failure == nil
    }
    if isFirst { onFailure() }
  }

  func recovered() { state.withLock { $0.failure = nil } }

  /// ENOSPC or EDQUOT: the reserve is freed, and only what frees space goes on until there is room again.
  func ranOutOfSpace() {
    let isFirst = state.withLock { state in
      defer { state.isShort = true }
      return !state.isShort
    }
    if isFirst { onShortage() }
  }

  func hasSpaceAgain() { state.withLock { $0.isShort = false } }
}
