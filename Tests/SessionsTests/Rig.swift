import Identity
import InternetMessage
import Logging
import MailModel
import MailStore
import MartletSimulation
import NIOCore
import Outside
import Overload
import Reception
import SMTP
import Sessions
import Synchronization
import Testing

/// A server's inside without sockets: the real store on a simulated disk, accounts alice and bob of example.test, relay domain
/// relay.test, and sessions with scripted peers, all on one seeded thread.
struct Rig {
  let executor: SimulatedExecutor
  let disk: FaultyDisk
  let policy: ReceptionPolicy
  var limits = SMTPLimits()
  var overload = OverloadLimits()
  var dialect = SMTPDialect.smtp
  var offersTLS = false
  var softBounces = false
  var aliceQuota: Int64 = 0
  var log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  var contentMemory = ContentMemory()
  var aliases: [String: [String]] = ["all": ["alice@example.test", "bob@example.test"]]

  init(seed: UInt64 = 1, policy: ReceptionPolicy = ReceptionPolicy(hostname: "mx.example.test")) {
    executor = SimulatedExecutor(seed: seed)
    disk = FaultyDisk()
    self.policy = policy
  }

  /// Everything that stands while sessions run.
  struct House: Sendable {
    let store: SQLiteStore
    let listener: SMTPListener
    let submitted: Submitted
    let directory: DirectoryHolder

    var host: LocalHost {
      LocalHost(
        reception: listener.reception, directory: directory, store: store, clock: listener.clock,
        outbound: submitted)
    }

    func talk(_ peer: ScriptedPeer, from address: [UInt8] = [192, 0, 2, 1]) async { await session(peer, from: address).run() }

    func session(_ peer: ScriptedPeer, from address: [UInt8] = [192, 0, 2, 1]) -> SMTPSession {
      let remote = IPAddress(bytes: address).map { Endpoint.ip($0, port: 40_000) } ?? .unix(path: "")
      let local = IPAddress(bytes: [127, 0, 0, 1]).map { Endpoint.ip($0, port: 25) } ?? .unix(path: "")
      return SMTPSession(listener, peer.connect(from: remote, to: local))
    }

    /// Recipients whose delivery the sender is to be told of, and the others in the queue.
    func queued() async throws -> (confirmed: [String], others: [String]) {
      let entries = try await store.queue(matching: QueueSelection(), after: nil, limit: 100).flatMap(\.entries)
      let confirmed = entries.filter { $0.destination == QueuedRecipient.confirmation }
      let others = entries.filter { $0.destination != QueuedRecipient.confirmation }
      return (confirmed.map(\.address.wire), others.map(\.address.wire))
    }

    func bodies(of user: String, in mailbox: String = "INBOX") async throws -> [String] {
      let account = try #require(try await store.directory().accounts.first { $0.address.localPart == user })
      let entries = try await store.entries(
        in: try await store.mailbox(mailbox, of: account.id).id, from: UID(rawValue: 1), limit: 100)
      var result: [String] = []
      for entry in entries {
        let bytes = try await store.read(entry.body, range: 0..<1_000_000)
        result.append(String(decoding: entry.deliveryPrefix, as: UTF8.self) + String(buffer: bytes))
      }
      return result
    }
  }

  func run<T: Sendable>(_ work: @escaping @Sendable (House) async throws -> T) throws -> T {
    let rig = self
    return try executor.run {
      let house = try await rig.build()
      let result = try await work(house)
      await house.store.close()
      return result
    }
  }

  private func build() async throws -> House {
    var options = SQLiteStore.Options(database: "store.db", lock: nil)
    options.limits.ballast = 0
    let vfs = RecordingVFS(disk: disk, clock: executor.clock, random: executor.random)
    options.vfs = vfs.name
    let store = try await SQLiteStore.open(
      options,
      in: SQLiteStore.Surroundings(disk: disk, clock: executor.clock, random: executor.random, workers: executor))
    try await store.addDomain(Domain(name: "example.test", kind: .local))
    try await store.addDomain(Domain(name: "relay.test", kind: .relay))
    for (user, quota) in [("alice", aliceQuota), ("bob", 0)] {
      _ = try await store.addAccount(
        address: EmailAddress(localPart: user, domain: "example.test"), passwordHash: "", quota: quota,
        created: executor.clock.now())
    }
    for (name, targets) in aliases.sorted(by: { $0.key < $1.key }) {
      try await store.setAlias(
        Alias(
          address: EmailAddress(localPart: name, domain: "example.test"),
          targets: targets.compactMap { try? AddressParser(allowsUTF8: true).mailbox($0) }))
    }
    let directory = DirectoryHolder()
    try await directory.load(from: store)
    let submitted = Submitted()
    var extensions = SMTPService.Extensions.standard
    if offersTLS { extensions.insert(.startTLS) }
    let listener = SMTPListener(
      service: SMTPService(
        dialect: dialect, hostname: policy.hostname, extensions: extensions, limits: limits, softBounces: softBounces),
      reception: Reception(policy: policy, directory: directory, clock: executor.clock), store: store,
      overload: Overload(limits: overload, clock: executor.clock), clock: executor.clock,
      sleeper: executor,
      tls: offersTLS ? NoTLS() : nil, isImplicitTLS: false, outbound: submitted,
      fullMailboxes: FullMailboxes(clock: executor.clock), contentMemory: contentMemory,
      log: log)
    return House(store: store, listener: listener, submitted: submitted, directory: directory)
  }
}

/// Keeps what was handed to delivery.
final class Submitted: Outbound {
  let messages = Mutex<[(QueuedMessage, ByteBuffer?)]>([])
  func submit(_ message: QueuedMessage, bytes: ByteBuffer?) { messages.withLock { $0.append((message, bytes)) } }
}
