import Configuration
import Delivery
import Identity
import InternetMessage
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import Reception
import Routing
import SMTP
import Sessions
import Synchronization

/// A whole Martlet server in the simulated internet, put together of the parts that `martlet serve` has, and of the simulation's network,
/// names, clock and disk.
///
/// A server has lives. When its process dies, everything it had said to the world so far stands and nothing more is said: its connections
/// are gone, its disk is taken from it. What is left of the process ends by itself, on a disk that nobody looks at.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class SimulatedServer: @unchecked Sendable {
  let number: Int
  let name: String
  let domain: String
  let host: NetworkHost
  let clock: ServerClock
  unowned let world: World
  private(set) var disk: FaultyDisk
  /// The parts of the running process.
  private(set) var process: Process?
  /// A fault of the plan may be planted here.
  var isPlanted = false
  /// It is to be down until then.
  private(set) var isBooting = false
  private(set) var account: [String: AccountID] = [:]
  var reader: MailReader
  /// Its database is damaged for good.
  private var isLost = false
  /// Recipients that were due when the run looked last.
  var overdue: [Int64: Overdue] = [:]

  struct Overdue {
    var due: Timestamp
    var since: MonotonicInstant
  }

  /// Chances that a planted fault had here.
  private var chances = 0

  /// Whether a planted fault strikes, which does so once in `number` times.
  func plants(oneIn number: Int) -> Bool {
    chances += 1
    return chances % number == 1
  }

  /// It died within the job that still runs: what that job says is not said any more.
  private var isFrozen = false
  private var capacity = Int.max

  /// What one life of it has.
  struct Process {
    var life: Int
    var store: SQLiteStore
    var scheduler: Scheduler
    var queue: ObservedQueue
    var vfs: RecordingVFS
    var schedule: SteadyClock
    var memory: ContentMemory
    var overload: Overload
    var connections: [ObjectIdentifier: Connection] = [:]
  }

  static let users = ["u0", "u1", "u2"]

  init(number: Int, world: World) {
    self.number = number
    self.world = world
    name = "s\(number)"
    domain = "s\(number).sim"
    host = NetworkHost(name, World.address(0, number + 1))
    clock = ServerClock(world.executor.clock)
    disk = FaultyDisk(recording: true)
    reader = MailReader(server: name, domain: domain, world: world)
  }

  var isRunning: Bool { process != nil }
  var store: SQLiteStore? { process?.store }
  /// The clock that its schedules follow.
  var schedule: any Clock { process?.schedule ?? SteadyClock(clock) }

  // MARK: Life

  /// Starts the process on the disk as it is; tries again, ever more rarely, while the store does not open.
  func boot() async {
    guard process == nil, !isBooting else { return }
    isBooting = true
    defer { isBooting = false }
    var pause = Duration.seconds(60)
    while !world.isOver {
      host.isUp = true
      let schedule = SteadyClock(clock)
      let vfs = RecordingVFS(disk: disk, clock: clock, random: world.executor.random)
      do throws(StoreError) {
        let store = try await SQLiteStore.open(
          options(vfs.name), in: .init(disk: disk, clock: schedule, random: world.executor.random, workers: world.executor))
        if !isLost, await begin(store, vfs, schedule) { return }
        await store.close()
        if isLost { return }
      } catch {
        world.history.digest.add("boot of \(name) failed: \(error)")
      }
      await world.executor.sleep(until: world.now.advanced(by: pause))
      pause = min(pause * 2, Self.longestPause)
    }
  }

  /// The longest time between two starts of a process whose store does not open: 15 min.
  static let longestPause = Duration.seconds(900)

  /// False if the store could not be read after all.
  private func begin(_ store: SQLiteStore, _ vfs: RecordingVFS, _ schedule: SteadyClock) async -> Bool {
    do throws(StoreError) {
      if account.isEmpty { try await settle(in: store) }
      let directory = DirectoryHolder()
      try await directory.load(from: store)
      begin(store, directory, vfs, schedule)
      return true
    } catch {
      world.history.digest.add("begin of \(name) failed: \(error)")
      return false
    }
  }

  /// The process dies, or the power goes; the disk keeps what `survival` says.
  func kill(_ survival: Survival, losesPower: Bool) {
    guard let dying = process else { return }
    process = nil
    isFrozen = false
    let dead = disk
    var image = dead.image
    if losesPower {
      var sweep = PowerCutSweep(base: disk.base, operations: disk.recording, seed: world.executor.random.next())
      while !sweep.isAtEnd { sweep.advance() }
      image = sweep.image(survival)
    }
    world.history.ended(name, dying.life)
    disk = FaultyDisk(image, recording: true)
    disk.setCapacity(capacity)
    plantDisk()
    reader.stop()
    host.die(silently: losesPower)
    let executor = world.executor
    _ = Task(executorPreference: executor) {
      await dying.scheduler.stop(until: executor.clock.monotonic())
      await dying.store.close()
      withExtendedLifetime(dying.vfs) {}
      dead.setFaults(nil)
    }
  }

  /// Dies within the write that is `count` requests from now; not at all if it does not write that much.
  func killInWrite(after count: Int, done: @escaping @Sendable () -> Void) {
    let last = disk.requests + count
    let executor = world.executor
    // Neither holds the other: a disk has its plan for as long as it lives.
    disk.setFaults { [weak self, weak frozen = disk] request in
      guard request.number >= last else { return nil }
      // From here on nothing reaches the disk, and before anything else the process is gone.
      if let self, let frozen, request.number == last, self.disk === frozen {
        self.isFrozen = true
        executor.interrupt { if self.disk === frozen { done() } }
      }
      return .swallow
    }
  }

  func setCapacity(_ octets: Int) {
    capacity = octets
    disk.setCapacity(octets)
  }

  /// Octets on its disk.
  var used: Int { disk.image.files.values.reduce(0) { $0 + $1.count } }

  /// The next sync fails.
  func failSync(failed: @escaping @Sendable () -> Void) {
    let isDone = Mutex(false)
    disk.setFaults { request in
      guard request.kind == .sync,
        isDone.withLock({ done in
          defer { done = true }; return !done
        })
      else { return nil }
      failed()
      return .fail(.failed)
    }
  }

  func clearFaults() {
    disk.setFaults(nil)
    plantDisk()
  }

  private func plantDisk() {
    guard isPlanted, world.scenario.plant == .lyingDisk, number % 5 == 0 else { return }
    disk.setFaults { $0.kind == .sync ? .swallow : nil }
  }

  // MARK: Parts

  private func options(_ vfs: String) -> SQLiteStore.Options {
    var options = SQLiteStore.Options(database: "store.db", lock: nil, vfs: vfs)
    options.tell = { [weak self] notice in self?.told(notice) }
    options.limits.readers = 1
    options.limits.cache = 262_144
    options.limits.ballast = 65_536
    options.limits.checkpointPages = 100
    options.limits.restartPages = 400
    // The run looks at all that ever happened.
    options.limits.traceAge = 4_000_000_000
    options.limits.expungeLog = 4_000_000_000
    options.segments.segmentSize = 131_072
    options.segments.recordSize = 16_384
    options.segments.spareMargin = 0
    options.segments.spoolMemory = 4_096
    return options
  }

  /// What the store tells its postmaster is an event too.
  private func told(_ notice: StoreNotice) {
    world.history.digest.add("\(name) store \(notice)")
    guard case .failed(let reason) = notice, reason.contains("damaged"), !isLost else { return }
    // No disk of this world damages a database. There is nothing more to be had of this server.
    isLost = true
    world.history.broken(Conservation.name, "\(name): \(reason)")
    world.executor.interrupt { [weak self] in self?.kill(.kept, losesPower: false) }
  }

  /// Domains, accounts and aliases of a new server.
  private func settle(in store: SQLiteStore) async throws(StoreError) {
    try await store.addDomain(Domain(name: domain, kind: .local))
    for backed in world.backedUp(by: number) { try await store.addDomain(Domain(name: backed, kind: .relay)) }
    var accounts: [String: AccountID] = [:]
    for user in ["postmaster"] + Self.users {
      // One has little room.
      let quota: Int64 = user == "u2" && number % 3 == 0 ? 6_000 : 0
      let made = try await store.addAccount(
        address: EmailAddress(localPart: user, domain: domain), passwordHash: "", quota: quota, created: clock.now())
      accounts[user] = made.id
    }
    try await store.setAlias(
      Alias(address: EmailAddress(localPart: "all", domain: domain), targets: world.list(of: number).compactMap(World.mailAddress)))
    account = accounts
  }

  /// Whoever runs it gives full mailboxes room.
  func makeRoom() async {
    guard let store, let address = World.mailAddress("u2@\(domain)") else { return }
    do throws(StoreError) {
      var account = try await store.account(address)
      account.quota = 0
      try await store.updateAccount(account)
    } catch {
      world.history.broken("liveness", "\(name) can't change an account: \(error)")
    }
  }

  private func begin(_ store: SQLiteStore, _ directory: DirectoryHolder, _ vfs: RecordingVFS, _ schedule: SteadyClock) {
    host.life += 1
    let life = host.life
    let executor = world.executor
    let hostname = "mx.\(domain)"
    let reception = Reception(
      policy: ReceptionPolicy(hostname: hostname, trusted: [NetworkPrefix(address: World.address(100 + number, 1), length: 24)]),
      directory: directory, clock: schedule)
    let router = Router(
      settings: RouterSettings(hostname: hostname, ownAddresses: [host.address]), resolver: SimulatedResolver(names: world.names),
      random: executor.random)
    let outbound = SimulatedOutbound()
    let sink = ObservedSink(
      LocalHost(reception: reception, directory: directory, store: store, clock: schedule, outbound: outbound), server: self,
      life: life)
    var services = DeliveryServices(
      store: store, router: router, dialer: world.network.dialer(for: host), clock: schedule, random: executor.random,
      sleeper: executor, sink: sink, local: sink.local, tls: SimulatedTLS.shared,
      // One thread runs the whole world.
      confine: {},
      spawn: { work in _ = Task(executorPreference: executor) { await work() } })
    services.recoder = executor.makeSerialWorker(named: "recode")
    let queue = ObservedQueue(services.store, server: self, life: life, world: world)
    services.store = queue
    let scheduler = Scheduler(services: services, settings: Self.settings(hostname))
    outbound.connect(scheduler, queue, starved: isPlanted && world.scenario.plant == .starvedDestination ? world.starved : nil)
    let memory = ContentMemory(limit: World.contentMemory)
    let overload = Overload(limits: OverloadLimits(), clock: schedule)
    process = Process(
      life: life, store: store, scheduler: scheduler, queue: queue, vfs: vfs, schedule: schedule, memory: memory, overload: overload
    )
    world.history.began(name, life)
    listen(reception, directory, outbound, life)
    store.observe { [weak self] changes in self?.changed(changes, life: life) }
    executor.wake(at: world.now) { scheduler.start() }
    reader.start(store, accounts: account)
  }

  private func changed(_ changes: [StoreChange], life: Int) {
    guard host.life == life, !isFrozen, let process else { return }
    for case .mailbox(let account, _, let modSeq) in changes { reader.changed(account: account, modSeq: modSeq) }
    if changes.contains(.queue) { world.executor.wake(at: world.now) { process.scheduler.newWork() } }
  }

  private func listen(_ reception: Reception, _ directory: DirectoryHolder, _ outbound: SimulatedOutbound, _ life: Int) {
    guard let process else { return }
    var extensions = SMTPService.Extensions.standard
    extensions.insert(.startTLS)
    var limits = SMTPLimits()
    limits.messageSize = 200_000
    let listener = SMTPListener(
      service: SMTPService(dialect: .smtp, hostname: "mx.\(domain)", extensions: extensions, limits: limits), reception: reception,
      store: process.store, overload: process.overload, clock: process.schedule, sleeper: world.executor, tls: SimulatedTLS.shared,
      isImplicitTLS: false, outbound: outbound, fullMailboxes: FullMailboxes(clock: process.schedule),
      contentMemory: process.memory,
      log: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() })
    let executor = world.executor
    host.accept = { [unowned self] connection, wire in
      var listener = listener
      listener.store = ObservedStore(process.store, server: self, life: life, wire: wire)
      let session = SMTPSession(listener, connection)
      _ = Task(executorPreference: executor) { await session.run() }
    }
  }

  static func settings(_ hostname: String) -> DeliverySettings {
    var settings = DeliverySettings(hostname: hostname)
    settings.limits.connections = World.connections
    settings.limits.connectionsPerDestination = 5
    settings.limits.jobs = World.jobs
    settings.limits.claim = MemoryBudget.claim
    settings.limits.bodyMemory = World.bodyMemory
    // What is due wakes it all the same; a year of looks at an empty queue shows nothing.
    settings.times.look = .seconds(3_600)
    return settings
  }
}

/// What stands for certificates and keys.
final class SimulatedTLS: TLSContext {
  static let shared = SimulatedTLS()
}

/// Hands fresh messages to the scheduler of the same life.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class SimulatedOutbound: Outbound, @unchecked Sendable {
  private weak var scheduler: Scheduler?
  private weak var queue: ObservedQueue?
  private var starved: String?

  func connect(_ scheduler: Scheduler, _ queue: ObservedQueue, starved: String?) {
    self.scheduler = scheduler
    self.queue = queue
    self.starved = starved
  }

  func submit(_ message: QueuedMessage, bytes: ByteBuffer?) {
    queue?.submitted(message)
    if let starved, message.entries.contains(where: { $0.destination == starved }) { return }
    scheduler?.submit(message, bytes: bytes)
  }
}
