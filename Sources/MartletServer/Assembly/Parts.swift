import Configuration
import Delivery
import Identity
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import Reception
import Routing
import Sessions

/// The parts of a server, made in order of need.
struct Parts {
  let loops: ServerLoops
  let store: SQLiteStore
  let directory: DirectoryHolder
  let reception: Reception
  let overload: Overload
  let router: Router
  let scheduler: Scheduler
  let outbound: SchedulerOutbound
  let resolver: UnboundResolver
  let tls: TLSContexts
  let clock: any Clock
  let random: any RandomSource
  let log: Logger

  static func assemble(_ configuration: Configuration, sockets: [ListeningSocket], log: Logger) async throws -> Parts {
    let clock = SteadyClock(SystemClock()) { $0.log(to: log) }
    let random = SystemRandom()
    // What can be wrong in the files is found before anything is opened.
    let tls = try TLSContexts(configuration, clock: clock, log: log)
    let table = try Settings.routeTable(configuration)
    let resolver = try UnboundResolver(Settings.resolver(configuration))
    let store = try await StoreOpening.openPatiently(configuration, clock: clock, random: random, log: log)
    let loops = ServerLoops(count: configuration.process.eventLoops, clock: clock)
    let directory = DirectoryHolder(
      DirectorySnapshot(.init(domains: [], accounts: [], aliases: []), settings: DirectorySettings(configuration.directory)))
    try await directory.load(from: store)
    let reception = Reception(policy: Settings.reception(configuration), directory: directory, clock: clock)
    let router = Router(
      settings: Settings.router(configuration, table: table, addresses: sockets.map(\.endpoint)), resolver: resolver, random: random
    )
    let outbound = SchedulerOutbound(loop: loops.all[0])
    let host = LocalHost(
      reception: reception, directory: directory, store: store, clock: clock, outbound: outbound)
    var services = DeliveryServices(
      store: store, router: router, dialer: NIODialer(loops: loops, clock: clock), clock: clock, random: random,
      sleeper: LoopSleeper(loops: loops), sink: host, local: host, tls: tls.client,
      confine: { loops.all[0].loop.preconditionInEventLoop() },
      spawn: { operation in _ = loops.all[0].start(operation) })
    services.recoder = ThreadWorkerProvider().makeSerialWorker(named: "recode")
    services.store = LoggedQueue(queue: services.store, log: log)
    let scheduler = Scheduler(services: services, settings: Settings.delivery(configuration))
    outbound.connect(scheduler)
    return Parts(
      loops: loops, store: store, directory: directory, reception: reception,
      overload: Overload(limits: Settings.overload(configuration), clock: clock), router: router, scheduler: scheduler,
      outbound: outbound, resolver: resolver, tls: tls, clock: clock, random: random, log: log)
  }
}
