import Bytes
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Routing

/// What the scheduler works with.
public struct DeliveryServices: Sendable {
  public var store: any QueueStore
  public var router: Router
  public var dialer: any Dialer
  public var clock: any Clock
  public var random: any RandomSource
  public var sleeper: any Sleeper
  public var sink: any NotificationSink
  /// nil: no domain is delivered here.
  public var local: (any LocalDestination)?
  /// What STARTTLS and smtps use; nil: no TLS can be spoken.
  public var tls: (any TLSContext)?
  /// Where messages are re-encoded, which takes longer than a loop may stand still (16 MiB: some 100 ms); nil: on the loop.
  public var recoder: (any SerialWorker)?
  /// Ends the process if the caller is not on the thread of that one loop: where two threads touch delivery's state a message may be
  /// lost, so it is better started anew.
  public var confine: @Sendable () -> Void
  /// Starts a task on the executor of the one loop that delivery runs on. Called from any thread.
  public var spawn: @Sendable (@escaping @Sendable () async -> Void) -> Void

  public init(
    store: any MailStore, router: Router, dialer: any Dialer, clock: any Clock, random: any RandomSource, sleeper: any Sleeper,
    sink: any NotificationSink, local: (any LocalDestination)? = nil, tls: (any TLSContext)? = nil,
    confine: @escaping @Sendable () -> Void, spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
  ) {
    self.init(
      queue: MailStoreQueue(store: store), router: router, dialer: dialer, clock: clock, random: random, sleeper: sleeper,
      sink: sink,
      local: local, tls: tls, confine: confine, spawn: spawn)
  }

  public init(
    queue: any QueueStore, router: Router, dialer: any Dialer, clock: any Clock, random: any RandomSource, sleeper: any Sleeper,
    sink: any NotificationSink, local: (any LocalDestination)? = nil, tls: (any TLSContext)? = nil,
    confine: @escaping @Sendable () -> Void, spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
  ) {
    self.store = queue
    self.router = router
    self.dialer = dialer
    self.clock = clock
    self.random = random
    self.sleeper = sleeper
    self.sink = sink
    self.local = local
    self.tls = tls
    self.confine = confine
    self.spawn = spawn
  }
}

/// What delivery goes by; replaced as a whole when the configuration is read again.
public struct DeliverySettings: Sendable {
  /// This host's name, in EHLO and notifications.
  public var hostname: String
  public var limits: DeliveryLimits
  public var times: DeliveryTimes
  public var retry: RetryPolicy
  /// Where connections come from, unless their route or the sender's domain says otherwise.
  public var source: ConnectionSource
  /// Where mail of some senders' domains comes from, by patterns as routes have them: `example.net`, `.example.net`, `*`.
  public var senderSources: [SenderSource]
  /// What single destinations are allowed.
  public var rules: [DestinationRule]
  /// Whether BDAT is used where it is offered. Default true.
  public var usesChunking: Bool
  /// Whether permanent failures are kept in the queue with their reason and tried again, and nothing is returned. Default false.
  public var softBounces = false

  /// Where mail of one sender's domain, or of those below it, comes from.
  public struct SenderSource: Hashable, Sendable {
    public var pattern: String
    public var source: ConnectionSource

    public init(pattern: String, source: ConnectionSource) {
      self.pattern = pattern
      self.source = source
    }
  }

  public init(
    hostname: String, limits: DeliveryLimits = DeliveryLimits(), times: DeliveryTimes = DeliveryTimes(),
    retry: RetryPolicy = RetryPolicy(), source: ConnectionSource = ConnectionSource(), senderSources: [SenderSource] = [],
    rules: [DestinationRule] = [], usesChunking: Bool = true
  ) {
    self.hostname = hostname
    self.limits = limits
    self.times = times
    self.retry = retry
    self.source = source
    self.senderSources = senderSources
    self.rules = rules
    self.usesChunking = usesChunking
  }
}

/// Brings queued messages to their next hops.
///
/// `@unchecked Sendable` is true since one thread alone touches its state and that of all it owns (pools, workers, jobs, recorder, notifier,
/// which nobody else has a reference to): `spawn` starts tasks on that loop only, a task that waits comes back to it, who calls from
/// elsewhere hops to it first (`SchedulerOutbound`, `Server`), and every way in checks it (`confine`), in tests and in the server.
public final class Scheduler: @unchecked Sendable {
  /// The destination of recipients whose local delivery could not be decided before the reply.
  public static let localDestination = QueueEntry.localDestination

  /// The destination of recipients who have their copy already: only their sender is to be told (NOTIFY=SUCCESS; RFC 3461, 4.1).
  static let confirmationDestination = QueuedRecipient.confirmation

  let services: DeliveryServices
  private(set) var settings: DeliverySettings
  let recorder: Recorder
  let notifier: Notifier
  private(set) var isStopping = false

  /// By route key.
  var pools: [String: DestinationPool] = [:]
  /// The same, oldest first.
  var poolOrder: [DestinationPool] = []
  /// By what jobs are gathered by: a domain or a next hop's name. For reports.
  var groupPools: [String: DestinationPool] = [:]
  /// Pools that wait for a connection to become free, oldest first.
  var waitingPools: [DestinationPool] = []
  /// Those who hold the connections.
  var workers: [ObjectIdentifier: Worker] = [:]
  /// Connections, by what was known of their pools when they began.
  var connections = ConnectionCounts()
  /// Workers that rest on an open connection, or are about to be woken.
  var resting = 0
  var routes = RouteCache()
  /// Jobs whose route is being looked up, by group.
  var unrouted: [String: [Job]] = [:]
  /// Recipients in memory: leased, and not recorded yet.
  var inHand: Set<QueueRecipientID> = []
  var jobs = 0
  var bodyOctets = 0
  /// Octets of messages that are re-encoded, as they came.
  var conversionOctets = 0
  private var lastJob: UInt64 = 0

  var hosts: HostGates
  /// Of the rules for single destinations.
  var budgets: DestinationBudgets
  var senderSources = PatternTable<ConnectionSource>()
  var brokenTLS: HostMemory
  var noChunking: HostMemory

  /// Outcomes are about to be handed over.
  var isFlushing = false

  // Claiming.
  var isClaiming = false
  var claimsAgain = false
  var wakeAt = MonotonicInstant.never
  var wakes: UInt64 = 0

  // Time.
  var started: MonotonicInstant?
  /// The schedule when the queue was last looked at; nil: not yet.
  var lastLook: Timestamp?

  public init(services: DeliveryServices, settings: DeliverySettings) {
    self.services = services
    self.settings = settings
    self.recorder = Recorder(store: services.store)
    self.notifier = Notifier(services: services, hostname: settings.hostname, limits: settings.limits)
    self.hosts = HostGates(limits: settings.limits, times: settings.times)
    self.budgets = DestinationBudgets(settings.rules)
    for sender in settings.senderSources { senderSources.add(sender.pattern, sender.source) }
    self.brokenTLS = HostMemory(limit: settings.limits.destinations)
    self.noChunking = HostMemory(limit: settings.limits.destinations)
    recorder.recorded = { [weak self] records in
      self?.confine()
      for record in records { self?.inHand.remove(record.entry) }
    }
  }

  /// Every way in comes through here.
  func confine() { services.confine() }

  /// Begins to claim what is due. Call once.
  public func start() {
    confine()
    started = services.clock.monotonic()
    claim()
  }

  /// Takes other settings for everything that begins from now on; routes are asked for anew.
  public func update(_ settings: DeliverySettings) {
    confine()
    self.settings = settings
    notifier.update(settings)
    for pool in poolOrder { pool.update(settings.limits) }
    hosts.update(settings.limits, settings.times)
    senderSources = PatternTable()
    for sender in settings.senderSources { senderSources.add(sender.pattern, sender.source) }
    if settings.rules != budgets.rules {
      budgets = DestinationBudgets(settings.rules, generation: budgets.generation &+ 1)
      // What waits by a former rule is looked at anew.
      for pool in poolOrder where pool.budget != nil { for job in pool.takeAll() { giveBack(job, after: .zero) } }
    }
    routes.removeAll()
    queueChanged()
  }

  /// Ends: connections finish what they carry and quit, nothing new is begun, outcomes are handed to the store. What was leased
  /// and not tried is due again when the lease ends, or at the next start.
  ///
  /// - Parameter deadline: when connections that are still open are cut; each such attempt is recorded as one that failed for a while.
  public func stop(until deadline: MonotonicInstant) async {
    confine()
    isStopping = true
    for pool in poolOrder { while pool.wakeIdle() {} }
    while connections.all > 0, services.clock.monotonic() < deadline {
      await services.sleeper.sleep(until: min(deadline, services.clock.monotonic().advanced(by: .milliseconds(100))))
    }
    for worker in workers.values { worker.cut() }
    let end = services.clock.monotonic().advanced(by: Self.cutting)
    while connections.all > 0, services.clock.monotonic() < end {
      await services.sleeper.sleep(until: services.clock.monotonic().advanced(by: .milliseconds(20)))
    }
    await recorder.flush()
  }

  /// What a connection that was cut has to tell the store, after the deadline. 500 ms.
  private static let cutting = Duration.milliseconds(500)

  /// The queue was changed by a person (retry, release, reroute, flush ...): look at it now, and give every destination another
  /// chance.
  public func queueChanged() {
    confine()
    for pool in poolOrder { pool.reset() }
    hosts.reset()
    for pool in poolOrder { serve(pool) }
    claim()
  }

  /// The queue has new work, by the store's change feed.
  public func newWork() {
    claim()
  }

  /// Takes a message whose recipients are claimed already (`Receipt.queued`).
  ///
  /// Returns at once. What follows costs neither a read from the store nor a transaction of its own, as long as `bytes` are there.
  ///
  /// - Parameter bytes: the whole message, prefix and body, if it is still in memory.
  ///
  /// When memory holds as many jobs as it may, it waits in the queue as if it had been tried: it is claimed when there is room.
  public func submit(_ message: QueuedMessage, bytes: ByteBuffer?) {
    guard isStopping || jobs < settings.limits.jobs else { return leave(message) }
    take(message, bytes: bytes, isFresh: true)
  }

  func take(_ message: QueuedMessage, bytes: ByteBuffer?, isFresh: Bool) {
    confine()
    guard !isStopping else { return }
    let entries = message.entries.filter { $0.state != .held && inHand.insert($0.id).inserted }
    guard !entries.isEmpty else { return }
    var kept = bytes
    if let bytes, bytes.readableBytes != message.size || bodyOctets.addedClamped(bytes.readableBytes) > settings.limits.bodyMemory {
      kept = nil
    }
    let hand = MessageInHand(message, bytes: kept)
    bodyOctets += kept?.readableBytes ?? 0
    for (group, members) in grouped(entries) {
      var rest = members[...]
      while !rest.isEmpty {
        let part = Array(rest.prefix(max(settings.limits.recipientsPerTransaction, 1)))
        rest = rest.dropFirst(part.count)
        dispatch(makeJob(hand, group, part), isFresh: isFresh)
      }
    }
  }

  private func makeJob(_ hand: MessageInHand, _ group: String, _ entries: [QueueEntry]) -> Job {
    lastJob &+= 1
    hand.jobs += 1
    jobs += 1
    return Job(id: lastJob, hand: hand, group: group, entries: entries)
  }

  /// Recipients that go the same way, in the order of their first.
  private func grouped(_ entries: [QueueEntry]) -> [(String, [QueueEntry])] {
    if entries.count == 1, let only = entries.first { return [(group(of: only), entries)] }
    var order: [String] = []
    var groups: [String: [QueueEntry]] = [:]
    for entry in entries {
      let name = group(of: entry)
      if groups[name] == nil { order.append(name) }
      groups[name, default: []].append(entry)
    }
    return order.map { ($0, groups[$0] ?? []) }
  }

  private func group(of entry: QueueEntry) -> String {
    if entry.destination == Self.confirmationDestination { return Self.confirmationDestination }
    if entry.destination == Self.localDestination || services.local?.isLocal(entry.destination) == true {
      return Self.localDestination
    }
    return services.router.group(of: entry.destination)
  }
}
