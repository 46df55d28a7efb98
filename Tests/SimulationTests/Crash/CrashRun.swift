import InternetMessage
import MailModel
import MartletSimulation
import Outside
import Synchronization

@testable import MailStore

/// Why a campaign failed: what was found, and how to find it again.
struct CrashFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// An operation that was acknowledged, and what its session saw then.
struct CrashStep: Sendable {
  var name: String
  /// Operations the disk had done when it was asked, and when it was acknowledged.
  var start: Int
  var ack: Int
  var state: CrashSnapshot
  var ids: [QueueID]
  /// Its messages in the shared mailbox.
  var shared: [UID: BodyID]
  /// Recipients whose lazy outcome may or may not be durable yet, and their messages.
  var floating: Set<QueueRecipientID>
  var messages: Set<QueueID>
}

/// What the sessions were told. The oracle.
final class CrashRecorder: Sendable {
  private struct State {
    var steps: [[CrashStep]]
    var contents: [BodyID: [UInt8]] = [:]
    var refusals = 0
    var claims = 0
  }

  /// Recipients that somebody has a lease on, or had: what a postmaster does to them takes effect when the lease ends, by a crash as well, so
  /// nobody acts on them, nor while it is open what is being leased.
  struct Leases {
    var leased: Set<QueueRecipientID> = []
    var claiming = 0
    var acting = 0
  }

  let toleratesFailures: Bool
  let leases = Mutex(Leases())
  private let state: Mutex<State>

  init(sessions: Int, toleratesFailures: Bool) {
    state = Mutex(State(steps: Array(repeating: [], count: sessions)))
    self.toleratesFailures = toleratesFailures
  }

  func add(_ step: CrashStep, session: Int) { state.withLock { $0.steps[session].append(step) } }
  func holds(_ body: BodyID, _ bytes: [UInt8]) { state.withLock { $0.contents[body] = bytes } }
  func bytes(of body: BodyID) -> [UInt8]? { state.withLock { $0.contents[body] } }
  func countRefusal() { state.withLock { $0.refusals += 1 } }
  func countClaims(_ count: Int) { state.withLock { $0.claims += count } }
  /// Recipients that could be claimed again after cuts.
  var claims: Int { state.withLock { $0.claims } }
  var refusals: Int { state.withLock { $0.refusals } }
  var steps: [[CrashStep]] { state.withLock { $0.steps } }
}

/// A script that was run, with everything the disk was told and everything the sessions were told.
struct CrashRun: Sendable {
  var seed: UInt64
  var base: DiskImage
  var operations: [DiskOperation]
  var final: DiskImage
  var recorder: CrashRecorder
  var accounts: [Account]
  var sharedAccount: AccountID
  var shared: Mailbox

  struct Shape: Sendable {
    var sessions = 4
    var operations = 30
    var toleratesFailures = false
    /// The store is closed and opened again after it was set up: the script's first commit is the first of an opening.
    var opensAgain = false
    /// Planted before the script begins, after the store is set up.
    var plant: (@Sendable (SimulatedStore) -> Void)?
    /// Asked between a session's operations.
    var between: (@Sendable (SimulatedStore, Int) -> Void)?
  }

  /// Runs the script that `seed` makes on a fresh disk.
  static func record(seed: UInt64, _ shape: Shape = Shape()) throws -> CrashRun {
    let world = SimulatedStore(seed: seed, recording: true)
    let recorder = CrashRecorder(sessions: shape.sessions, toleratesFailures: shape.toleratesFailures)
    let (accounts, sharedAccount, shared) = try world.executor.run { () async throws -> ([Account], AccountID, Mailbox) in
      var store = try await world.open()
      let now = world.executor.clock.now()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      var accounts: [Account] = []
      for name in (0..<shape.sessions).map({ "user\($0)" }) + ["shared"] {
        accounts.append(
          try await store.addAccount(
            address: EmailAddress(localPart: name, domain: "example.test"), passwordHash: "", quota: 0, created: now))
      }
      let sharedAccount = accounts.removeLast().id
      let shared = try await store.mailbox("INBOX", of: sharedAccount)
      if shape.opensAgain {
        await store.close()
        store = try await world.open()
      }
      var sessions: [CrashSession] = []
      for (number, account) in accounts.enumerated() {
        var session = CrashSession(
          number: number, store: store, world: world, recorder: recorder, account: account, shared: shared,
          sharedAccount: sharedAccount,
          random: SeededRandom(seed: seed &* 1_000 &+ UInt64(number)))
        try await session.begin()
        sessions.append(session)
      }
      shape.plant?(world)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for session in sessions {
          group.addTask {
            var session = session
            for operation in 0..<shape.operations {
              shape.between?(world, operation)
              try await session.step()
            }
          }
        }
        try await group.waitForAll()
      }
      world.disk.setFaults(nil)
      await store.close()
      return (accounts, sharedAccount, shared)
    }
    return CrashRun(
      seed: seed, base: world.disk.base, operations: world.disk.recording, final: world.disk.image, recorder: recorder,
      accounts: accounts, sharedAccount: sharedAccount, shared: shared)
  }
}
