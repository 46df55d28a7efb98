import MailModel
import MailStore
import Synchronization

/// The snapshot that counts now, shared by all sessions; replaced as a whole when the directory or its settings change.
public final class DirectoryHolder: Sendable {
  private struct State {
    var snapshot: DirectorySnapshot
    /// Of the load that made it: a slow older load never replaces a newer one.
    var number: UInt64 = 0
    var lastNumber: UInt64 = 0
    var settings: DirectorySettings
  }

  private let state: Mutex<State>

  public init(_ snapshot: DirectorySnapshot = DirectorySnapshot(.init(domains: [], accounts: [], aliases: []))) {
    self.state = Mutex(State(snapshot: snapshot, settings: snapshot.settings))
  }

  /// The current snapshot. Take it once for what must fit together.
  public var snapshot: DirectorySnapshot { state.withLock { $0.snapshot } }

  /// Other settings for the loads that follow; `load` is due then.
  public func update(_ settings: DirectorySettings) { state.withLock { $0.settings = settings } }

  /// Reads the directory and takes it. Whoever changes domains, accounts or aliases calls it before telling of success, so that the
  /// next RCPT knows; also due when `StoreChange.directory` comes.
  public func load(from store: some MailStore) async throws(StoreError) {
    let (number, settings) = state.withLock { state in
      state.lastNumber &+= 1
      return (state.lastNumber, state.settings)
    }
    take(DirectorySnapshot(try await store.directory(), settings: settings), number: number)
  }

  /// Takes a snapshot, unless one whose load began later has been taken.
  func take(_ snapshot: DirectorySnapshot, number: UInt64) {
    state.withLock { state in
      guard number > state.number else { return }
      state.number = number
      state.snapshot = snapshot
    }
  }
}
