import Glibc
import InternetMessage
import MailModel
import MailStore
import MartletSimulation
import NIOCore
import Outside
import Synchronization
import Testing

@testable import Delivery
@testable import Routing

/// Delivery with everything around it simulated: a queue in memory, hosts by script, DNS by script, virtual time.
final class Rig: Sendable {
  let executor: SimulatedExecutor
  let queue = FakeQueue()
  let dialer: FakeDialer
  let sink = FakeSink()
  let scheduler: Scheduler
  /// What delivery asks for the time: the executor's clock, with a schedule that does not jump.
  let clock: SteadyClock
  /// How often delivery found itself off its loop.
  let strays = Counter()
  private let nextEntry = Mutex<Int64>(0)

  init(
    seed: UInt64 = 1, routes: [(String, String)] = [], dns: [String: [(UInt16, String, String)]] = [:],
    local: (any LocalDestination)? = nil,
    hasTLS: Bool = false, servfail: Set<DNSRecordType> = [],
    change: (inout DeliverySettings) -> Void = { _ in }
  ) throws {
    executor = SimulatedExecutor(seed: seed)
    clock = SteadyClock(executor.clock)
    dialer = FakeDialer(executor: executor)
    let table = try RouteTable(routes.map { .init(pattern: $0.0, nextHop: try NextHop(parsing: $0.1)) })
    let router = Router(
      settings: RouterSettings(hostname: "mx.own.test", table: table, allowsInternalAddresses: true, usesIPv6: false),
      resolver: FailingResolver(executor: executor, resolver: FakeResolver(dns), types: servfail), random: executor.random)
    var settings = DeliverySettings(hostname: "mx.own.test")
    change(&settings)
    let executor = executor
    let thread = pthread_self()
    let strays = strays
    var services = DeliveryServices(
      queue: queue, router: router, dialer: dialer, clock: clock, random: executor.random, sleeper: executor, sink: sink,
      local: local, tls: hasTLS ? NoContext() : nil,
      confine: { if pthread_equal(pthread_self(), thread) == 0 { strays.add() } },
      spawn: { work in _ = Task(executorPreference: executor) { await work() } })
    services.recoder = executor.makeSerialWorker(named: "recode")
    scheduler = Scheduler(services: services, settings: settings)
  }

  /// A message in the queue for these, due now; not yet handed to the scheduler.
  func message(
    to recipients: [String], from sender: String? = "alice@own.test", body: String = "Subject: hello\r\n\r\nHello.\r\n.dot\r\n",
    census: BodyCensus = BodyCensus(), notify: NotificationRequest.Notify = [],
    envelope change: (inout Envelope) -> Void = { _ in },
    age: Duration = .zero, claimed: Bool = true
  ) -> QueuedMessage {
    let now = executor.clock.now()
    let number = nextEntry.withLock { number in
      number += 1
      return number
    }
    let id = QueueID(rawValue: UInt64(number) << 16)
    let entries = recipients.map { text -> QueueEntry in
      let entry = nextEntry.withLock { number in
        number += 1
        return number
      }
      let address = Self.address(text)
      return QueueEntry(
        id: QueueRecipientID(rawValue: entry), message: id, address: address, notification: .init(notify: notify),
        destination: address.domain, state: claimed ? .claimed : .waiting, attempts: 0, nextAttempt: now)
    }
    var envelope = Envelope(reversePath: sender.map(Self.address))
    change(&envelope)
    let bytes = ByteBuffer(string: body)
    let message = QueuedMessage(
      id: id, received: now.advanced(by: .zero - age), envelope: envelope, census: census, body: BodyID(rawValue: number),
      size: bytes.readableBytes, entries: entries)
    queue.add(message, bytes)
    return message
  }

  static func address(_ text: String) -> EmailAddress {
    let at = text.lastIndex(of: "@") ?? text.endIndex
    return EmailAddress(localPart: String(text[..<at]), domain: at == text.endIndex ? "" : String(text[text.index(after: at)...]))
  }

  /// Hands over a fresh message, bytes in memory, as a session does after its receipt.
  func submit(_ message: QueuedMessage) {
    let bytes = queue.state.withLock { $0.bodies[message.body] }
    let scheduler = scheduler
    queue.state.withLock { state in
      for entry in message.entries { state.leases[entry.id] = executor.clock.now().advanced(by: .seconds(1_800)) }
    }
    _ = Task(executorPreference: executor) { scheduler.submit(message, bytes: bytes) }
  }

  func start() {
    let scheduler = scheduler
    _ = Task(executorPreference: executor) { scheduler.start() }
  }

  /// Lets `duration` of virtual time pass.
  func run(_ duration: Duration) {
    let end = executor.clock.monotonic().advanced(by: duration)
    executor.settle(until: end)
    executor.clock.advance(to: end)
    #expect(strays.count == 0, "delivery left its loop")
  }

  func host(_ endpoint: String, _ change: (inout FakeHost.Script) -> Void = { _ in }) -> FakeHost {
    let host = FakeHost(change)
    dialer.set(endpoint, .host(host))
    return host
  }

  func outcomes(of message: QueuedMessage) -> [Outcome] {
    queue.records.filter { $0.message == message.id }.sorted { $0.entry < $1.entry }.map(\.outcome)
  }

  func trace(of message: QueuedMessage) -> [TraceEvent] { queue.state.withLock { $0.trace[message.id] ?? [] } }
}

/// A number that any thread may raise.
final class Counter: Sendable {
  private let state = Mutex(0)
  var count: Int { state.withLock { $0 } }
  func add() { state.withLock { $0 += 1 } }
}

private final class NoContext: TLSContext {}

/// Keeps notifications, or refuses them.
final class FakeSink: NotificationSink {
  let accepted = Mutex<[ComposedNotification]>([])
  let fails = Mutex(false)
  let discards = Mutex<String?>(nil)
  /// An address that nobody has.
  let nobody = Mutex<String?>(nil)

  var postmaster: EmailAddress { EmailAddress(localPart: "postmaster", domain: "own.test") }

  func accept(_ notification: ComposedNotification) async throws(StoreError) -> StoredNotification {
    if fails.withLock({ $0 }) { throw .full }
    if nobody.withLock({ $0 == notification.recipient.wire }) {
      return StoredNotification(id: notification.id, discarded: "a notification for nobody")
    }
    if let reason = discards.withLock({ $0 }) { return StoredNotification(id: notification.id, discarded: reason) }
    accepted.withLock { $0.append(notification) }
    return StoredNotification(id: notification.id)
  }

  var all: [ComposedNotification] { accepted.withLock { $0 } }
  func text(_ index: Int) -> String { String(decoding: all[index].bytes, as: UTF8.self) }
}

/// Answers questions of these types with SERVFAIL for an hour.
struct FailingResolver: Resolver {
  let executor: SimulatedExecutor
  let resolver: FakeResolver
  let types: Set<DNSRecordType>
  private let end: MonotonicInstant

  init(executor: SimulatedExecutor, resolver: FakeResolver, types: Set<DNSRecordType>) {
    self.executor = executor
    self.resolver = resolver
    self.types = types
    end = executor.clock.monotonic().advanced(by: .seconds(3_600))
  }

  func resolve(_ question: DNSQuestion) async -> DNSAnswer {
    guard types.contains(question.type), executor.clock.monotonic() < end else { return await resolver.resolve(question) }
    return DNSAnswer(status: .failure("SERVFAIL"), canonicalName: question.name)
  }
}

/// MX and A records by domain: preference, host, address.
struct FakeResolver: Resolver {
  let zone: [String: [(UInt16, String, String)]]

  private let addresses: [String: Set<String>]

  init(_ zone: [String: [(UInt16, String, String)]]) {
    self.zone = zone
    addresses = zone.values.joined().reduce(into: [:]) { $0[$1.1, default: []].insert($1.2) }
  }

  func resolve(_ question: DNSQuestion) async -> DNSAnswer {
    if question.type == .mx, let records = zone[question.name] {
      return DNSAnswer(
        status: .success, canonicalName: question.name, records: records.map { Self.data($0.0, $0.1) }, timeToLive: 600)
    }
    guard question.type == .a, let addresses = addresses[question.name] else {
      return DNSAnswer(status: .noSuchName, canonicalName: question.name)
    }
    return DNSAnswer(
      status: .success, canonicalName: question.name, records: addresses.sorted().compactMap { IPAddress($0)?.bytes },
      timeToLive: 600)
  }

  private static func data(_ preference: UInt16, _ name: String) -> [UInt8] {
    var data = [UInt8(preference >> 8), UInt8(preference & 255)]
    for label in name.split(separator: ".") { data += [UInt8(label.utf8.count)] + Array(label.utf8) }
    return data + [0]
  }
}
