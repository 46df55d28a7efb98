import Outside
import Synchronization

/// What a postmaster should hear of the store, as it happens.
public enum StoreNotice: Hashable, Sendable {
  /// A write, sync or read failed: nothing is written until the database was opened anew and found whole.
  case failed(String)
  /// It was.
  case recovered
  /// The disk is full: mail is refused, what frees space goes on.
  case full
  /// There is room again.
  case hasSpace
  /// Something is damaged, and what that means.
  case damaged(String)
  /// The look-ups of the trace could not be used, why, and that they are built anew from it.
  case lookupsBuiltAnew(String)
  /// The write-ahead log can't begin anew, since something reads it without end; how many pages it has.
  case longLog(pages: Int)
}

/// How the store is, for `martlet status`.
public struct StoreCondition: Hashable, Sendable, Codable {
  /// `ok`, `full`, `unavailable`.
  public var state: String
  /// Why it is not `ok`, empty if it is.
  public var reason: String
  /// What is damaged.
  public var damage: [String]
  /// Pages of the write-ahead log.
  public var logPages: Int

  public init(state: String, reason: String, damage: [String], logPages: Int) {
    self.state = state
    self.reason = reason
    self.damage = damage
    self.logPages = logPages
  }
}

/// Whether the store can be written: what failed, and whether there is space.
final class Health: Sendable {
  private struct State {
    var failure: String?
    var isShort = false
    var damage: [String]
    var logPages = 0
    var isLogLong = false
  }

  /// Pages of the write-ahead log that are worth an alarm: 64,000 (250 MiB); it begins anew at an eighth.
  static let longLog = 64_000

  private let state: Mutex<State>
  private let tell: @Sendable (StoreNotice) -> Void
  private let onFailure: @Sendable () -> Void
  private let onShortage: @Sendable () -> Void

  /// - Parameter isReadOnly: it was opened past damage that leaves nothing to write to.
  init(
    damage: [String] = [], isReadOnly: Bool = false, tell: @escaping @Sendable (StoreNotice) -> Void = { _ in },
    onFailure: @escaping @Sendable () -> Void, onShortage: @escaping @Sendable () -> Void
  ) {
    let failure = isReadOnly ? "the database is damaged: restore a backup, or export what can be read" : nil
    state = Mutex(State(failure: failure, damage: damage))
    self.tell = tell
    self.onFailure = onFailure
    self.onShortage = onShortage
    for what in damage { tell(.damaged(what)) }
    if let failure { tell(.failed(failure)) }
  }

  /// No write or sync has failed since the database was last found whole.
  var mayWrite: Bool { state.withLock { $0.failure == nil } }

  /// What failed; nil while all is well.
  var failure: String? { state.withLock { $0.failure } }

  /// Only what frees space goes on.
  var isShortOfSpace: Bool { state.withLock { $0.isShort } }

  var condition: StoreCondition {
    state.withLock { state in
      StoreCondition(
        state: state.failure != nil ? "unavailable" : state.isShort ? "full" : "ok",
        reason: state.failure ?? (state.isShort ? "the disk is full: mail is refused, what frees space goes on" : ""),
        damage: state.damage, logPages: state.logPages)
    }
  }

  /// A write, sync or read of the database failed: nothing is written until it was opened anew and found whole.
  func failed(_ reason: String) {
    let isFirst = state.withLock { state in
      defer { if state.failure == nil { state.failure = reason } }
      return state.failure == nil
    }
    guard isFirst else { return }
    tell(.failed(reason))
    onFailure()
  }

  func recovered() {
    state.withLock { $0.failure = nil }
    tell(.recovered)
  }

  /// Something can't be read any more.
  /// Passes on what a postmaster should know and what changes nothing here.
  func pass(on notice: StoreNotice) { tell(notice) }

  func found(damage: String) {
    let isNew = state.withLock { state in
      guard !state.damage.contains(damage), state.damage.count < 100 else { return false }
      state.damage.append(damage)
      return true
    }
    if isNew { tell(.damaged(damage)) }
  }

  /// ENOSPC or EDQUOT: the reserve is freed, and only what frees space goes on until there is room again.
  func ranOutOfSpace() {
    let isFirst = state.withLock { state in
      defer { state.isShort = true }
      return !state.isShort
    }
    guard isFirst else { return }
    tell(.full)
    onShortage()
  }

  func hasSpaceAgain() {
    state.withLock { $0.isShort = false }
    tell(.hasSpace)
  }

  /// After each commit: told once when the log grows beyond all reason, again only after it was short.
  func log(pages: Int) {
    let isAlarm = state.withLock { state in
      state.logPages = pages
      let isLong = pages >= Self.longLog
      defer { state.isLogLong = isLong || (state.isLogLong && pages > Self.longLog / 2) }
      return isLong && !state.isLogLong
    }
    if isAlarm { tell(.longLog(pages: pages)) }
  }
}
