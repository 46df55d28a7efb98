import InternetMessage
import MailStore
import Outside

/// The simulated internet of one run: twenty Martlet servers, other hosts, clients, names, and time, all on one thread.
///
/// Confined to that thread: that is what makes `@unchecked Sendable` true.
final class World: @unchecked Sendable {
  // What each server may hold in memory: small, so that the load comes near it.
  static let jobs = 20
  static let connections = 8
  static let bodyMemory = 32_768
  static let contentMemory = 65_536

  let scenario: Scenario
  let executor: SimulatedExecutor
  let random: SeededRandom
  let history: History
  let counts = FaultCounts()
  let network: SimulatedNetwork
  let names: SimulatedNames
  private(set) var servers: [SimulatedServer] = []
  private(set) var hosts: [ScriptedHost] = []
  private(set) var clients: [NetworkHost] = []
  let evil = NetworkHost("evil", World.address(99, 1))
  /// Clients give up.
  var isOver = false
  /// No fault begins or goes on.
  private(set) var isCalm = false
  private let start: MonotonicInstant
  /// The most that each server held at any look, for the report.
  var mostHeld = MemoryUse()

  init(_ scenario: Scenario) {
    self.scenario = scenario
    executor = SimulatedExecutor(seed: scenario.seed)
    random = SeededRandom(seed: scenario.seed ^ 0x5EED)
    history = History(clock: executor.clock)
    network = SimulatedNetwork(executor: executor, seed: scenario.seed ^ 0xA11, history: history, counts: counts)
    names = SimulatedNames(executor: executor, seed: scenario.seed ^ 0xD25, counts: counts, digest: history.digest)
    start = executor.clock.monotonic()
    for number in 0..<scenario.servers {
      let server = SimulatedServer(number: number, world: self)
      // A planted fault is everywhere: what finds it must not depend on where it is.
      server.isPlanted = scenario.plant != nil
      servers.append(server)
      network.add(server.host)
      let client = NetworkHost("c\(number)", World.address(100 + number, 1))
      clients.append(client)
      network.add(client)
    }
    hosts = (0..<scenario.hosts).map { ScriptedHost(number: $0, world: self) }
    for host in hosts { network.add(host.host) }
    network.add(evil)
    nameEverybody()
  }

  var now: MonotonicInstant { executor.clock.monotonic() }
  /// The destination that a planted fault starves.
  var starved: String { "h0.sim" }

  /// An address of the public internet.
  static func address(_ net: Int, _ number: Int) -> IPAddress {
    guard let address = IPAddress(bytes: [20, 0, UInt8(clamping: net), UInt8(clamping: number)]) else {
      preconditionFailure("four octets")
    }
    return address
  }

  static func mailAddress(_ text: String) -> EmailAddress? {
    guard let at = text.lastIndex(of: "@") else { return nil }
    return EmailAddress(localPart: String(text[..<at]), domain: String(text[text.index(after: at)...]))
  }

  /// Who `all@` of a server stands for: one of its own, one elsewhere.
  func list(of server: Int) -> [String] { ["u0@s\(server).sim", "u1@s\((server + 1) % max(scenario.servers, 1)).sim"].uniqued }

  /// Domains that a server takes mail for while their own host is away.
  func backedUp(by server: Int) -> [String] {
    guard scenario.servers > 1 else { return [] }
    let other = (server + scenario.servers - 1) % scenario.servers
    return other % 4 == 0 ? ["s\(other).sim"] : []
  }

  private func nameEverybody() {
    for server in servers {
      var exchangers: [(preference: UInt16, name: String)] = [(10, "mx.\(server.domain)")]
      let next = (server.number + 1) % max(scenario.servers, 1)
      if backedUp(by: next).contains(server.domain) { exchangers.append((20, "mx.s\(next).sim")) }
      names.zones[server.domain] = .hosts(exchangers)
      names.addresses["mx.\(server.domain)"] = server.host.address
    }
    for host in hosts {
      names.zones["\(host.name).sim"] = .hosts([(10, "mx.\(host.name).sim")])
      names.addresses["mx.\(host.name).sim"] = host.host.address
    }
    names.zones["null.sim"] = .null
    names.zones["loop.sim"] = .loop
    names.zones["bogus.sim"] = .bogus
    names.zones["missing.sim"] = .missing
    names.zones["many.sim"] = .many("mx.h0.sim")
    names.zones["alias.sim"] = .alias(of: "h0.sim")
    names.zones["implicit.sim"] = .implicit
    names.addresses["implicit.sim"] = hosts.first?.host.address
  }

  // MARK: The run

  /// Runs both phases; what is left to do is to judge.
  func run() throws {
    try executor.run { [self] in
      for server in servers { await server.boot() }
    }
    for host in hosts { host.listen() }
    schedule()
    look(every: .seconds(3_600))
    settle(for: scenario.safety)
  }

  /// The faults stop: everything that is down comes up again, and from now on all goes well.
  func calm() {
    isCalm = true
    network.weather = Weather()
    names.failing = []
    names.silent = []
    names.zones["loop.sim"] = .alias(of: "h0.sim")
    names.zones["bogus.sim"] = .alias(of: "h0.sim")
    for host in hosts { host.manners = .good }
    for server in servers {
      setClock(server, .zero)
      server.clearFaults()
      server.setCapacity(.max)
      spawn {
        await server.boot()
        await server.makeRoom()
      }
    }
  }

  /// The end: processes end in order, so that nothing of them is left.
  func end() {
    isOver = true
    for server in servers { server.kill(.kept, losesPower: false) }
    settle(for: .seconds(86_400))
    executor.stop()
  }

  func settle(for duration: Duration) {
    let end = now.advanced(by: duration)
    executor.settle(until: end)
    executor.clock.advance(to: end)
  }

  /// Does something to the world at a moment of the run.
  func at(_ moment: Duration, _ body: @escaping @Sendable () -> Void) { executor.wake(at: start.advanced(by: moment), body) }

  /// Starts a task in the world.
  func spawn(_ body: @escaping @Sendable () async -> Void) { _ = Task(executorPreference: executor) { await body() } }

  func boot(_ server: SimulatedServer) { spawn { await server.boot() } }

  private func schedule() {
    for message in scenario.messages where message.server < servers.count {
      at(message.at) { [self] in
        let client = MailClient(world: self, host: clients[message.server], server: servers[message.server])
        spawn { await client.send(message) }
      }
    }
    for attack in scenario.attacks where attack.server < servers.count {
      at(attack.at) { [self] in
        spawn { await HostileSender(world: self, host: self.evil).attack(attack, self.servers[attack.server]) }
      }
    }
    for fault in scenario.faults { at(fault.at) { [self] in if !isCalm { strike(fault) } } }
    for server in servers {
      readAgain(server)
      checkAgain(server)
    }
  }

  /// People look into their mailboxes about once a day.
  private func readAgain(_ server: SimulatedServer) {
    let pause = Duration.seconds(43_200 + Int(clamping: random.next(below: 86_400)))
    executor.wake(at: now.advanced(by: pause)) { [self] in
      guard !isOver else { return }
      spawn {
        await server.reader.read(acts: true)
        self.readAgain(server)
      }
    }
  }

  /// Each server's queue is looked at four times a day.
  private func checkAgain(_ server: SimulatedServer) {
    executor.wake(at: now.advanced(by: .seconds(21_600))) { [self] in
      guard !isOver else { return }
      spawn { await Fairness.look(at: server, in: self) }
      checkAgain(server)
    }
  }

  /// Looks at what the servers hold, now and then.
  private func look(every pause: Duration) {
    executor.wake(at: now.advanced(by: pause)) { [self] in
      guard !isOver else { return }
      MemoryBudget.look(at: self)
      look(every: pause)
    }
  }
}

extension [String] {
  /// Each once, in the order of the first.
  var uniqued: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
