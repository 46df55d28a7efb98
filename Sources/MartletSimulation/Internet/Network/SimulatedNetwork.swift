import NIOCore
import Outside

/// A host of the simulated internet: an address, and whatever listens there.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class NetworkHost: @unchecked Sendable {
  let name: String
  let address: IPAddress
  /// What takes connections; nil: nobody listens, and they are refused.
  var accept: ((Connection, Wire) -> Void)?
  /// Without power nothing answers at all.
  var isUp = true
  /// Counts the lives of the process.
  var life = 0
  /// Open ends of this host.
  var wires: [ObjectIdentifier: WireEnd] = [:]

  init(_ name: String, _ address: IPAddress) {
    self.name = name
    self.address = address
  }

  /// The ends in the order they were made.
  var ends: [WireEnd] {
    wires.values.sorted { ($0.wire?.number ?? 0, $0.isClient ? 0 : 1) < ($1.wire?.number ?? 0, $1.isClient ? 0 : 1) }
  }

  /// The process is gone, and with it every connection.
  func die(silently: Bool) {
    accept = nil
    life += 1
    if silently { isUp = false }
    for end in ends { end.die(silently: silently) }
  }

  /// Octets that the connections of this host hold.
  var held: Int { wires.values.reduce(0) { $0 + $1.octets } }
}

/// How the way between two hosts is when a connection begins.
struct Way: Sendable {
  var latency = Duration.milliseconds(20)
  /// Octets a second; 0: as fast as one likes.
  var rate = 0
}

/// Connects hosts, with latency, partitions, slow and breaking connections.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class SimulatedNetwork: @unchecked Sendable {
  let executor: SimulatedExecutor
  let random: SeededRandom
  let history: History
  let counts: FaultCounts
  var weather = Weather()
  private var hosts: [IPAddress: NetworkHost] = [:]
  private var wires = 0
  private var ports: UInt16 = 20_000
  /// How long a connection waits for a way that is gone: 15 min, as a kernel does that sends again and again.
  static let patience = Duration.seconds(900)

  init(executor: SimulatedExecutor, seed: UInt64, history: History, counts: FaultCounts) {
    self.executor = executor
    self.random = SeededRandom(seed: seed)
    self.history = history
    self.counts = counts
  }

  func add(_ host: NetworkHost) { hosts[host.address] = host }

  var now: MonotonicInstant { executor.clock.monotonic() }

  /// Connects from a process of `host`, in the life that asks.
  func connect(from host: NetworkHost, life: Int, to remote: Endpoint, until deadline: MonotonicInstant) async -> Result<
    Connection, DialError
  > {
    guard case .ip(let address, let port) = remote else { return .failure(.failed("no such place")) }
    var way = weather.way(host.address, address, random)
    await executor.sleep(until: min(now.advanced(by: way.latency * 2), deadline))
    guard host.life == life else { return .failure(.failed("the process is gone")) }
    let target = hosts[address]
    if target == nil || target?.isUp == false || weather.isParted(host, target) {
      if target != nil, target?.isUp == true { counts.note(.partition) }
      await executor.sleep(until: deadline)
      return .failure(.timedOut)
    }
    guard let target, let accept = target.accept, port == 25 else { return .failure(.refused) }
    ports = ports == .max ? 20_000 : ports + 1
    wires += 1
    if weather.isSlow(host, target) {
      counts.note(.slowConnection)
      way.rate = 2_000
    }
    let wire = Wire(
      number: wires, network: self, from: host, source: .ip(host.address, port: ports), to: target, at: remote, way: way)
    if weather.breaks(host, target, random) {
      wire.octetsLeft = Int(clamping: random.next(below: 3_000))
    }
    wire.breaksTLS = weather.breaksTLS(host, target)
    guard let client = wire.client.connection, let server = wire.server.connection else {
      return .failure(.failed("no connection"))
    }
    host.wires[ObjectIdentifier(wire.client)] = wire.client
    target.wires[ObjectIdentifier(wire.server)] = wire.server
    history.digest.add("connect \(wire.number) \(host.name) \(target.name)")
    accept(server, wire)
    return .success(client)
  }

  /// How long an item is on its way; nil: it never arrives, and the connection is broken.
  func travel(_ item: WireItem, on wire: Wire, now: MonotonicInstant) -> Duration? {
    var travel = wire.way.latency + .microseconds(Int64(clamping: random.next(below: 2_000)))
    guard case .data(let bytes) = item else { return travel }
    if wire.way.rate > 0 { travel += .microseconds(Int64(bytes.readableBytes) * 1_000_000 / Int64(wire.way.rate)) }
    guard wire.octetsLeft < .max else { return travel }
    wire.octetsLeft -= bytes.readableBytes
    guard wire.octetsLeft < 0, wire.ending == .open else { return travel }
    counts.note(.brokenConnection)
    executor.wake(at: now.advanced(by: travel)) { wire.cut(.cutByFault) }
    return nil
  }

  /// Whether the way breaks just when a client is about to hear that its message was taken.
  func losesAcknowledgement(on wire: Wire, _ id: String) -> Bool {
    guard weather.losesAcknowledgement(wire.client.host, wire.server.host, random) else { return false }
    counts.note(.lostAcknowledgement)
    history.digest.add("lost \(id)")
    wire.cut(.cutByFault)
    return true
  }

  /// What comes while the way is gone waits for it, unless that takes too long.
  func hold(_ end: WireEnd, on wire: Wire) {
    counts.note(.partition)
    let heals = weather.heals(wire.client.host, wire.server.host)
    if heals.since(now) > Self.patience {
      executor.wake(at: now.advanced(by: Self.patience)) { wire.cut(.timedOut) }
    } else {
      executor.wake(at: heals.advanced(by: .milliseconds(1))) { end.heal(wire) }
    }
  }

  /// The dialer of a process of `host`, as long as that life lasts.
  func dialer(for host: NetworkHost) -> any Dialer { SimulatedDialer(network: self, host: host, life: host.life) }
}

/// Opens connections for one life of one process.
struct SimulatedDialer: Dialer {
  let network: SimulatedNetwork
  let host: NetworkHost
  let life: Int

  func connect(to remote: Endpoint, from source: IPAddress?, until deadline: MonotonicInstant) async -> Result<
    Connection, DialError
  > {
    await network.connect(from: host, life: life, to: remote, until: deadline)
  }
}

/// What is wrong with the network just now: sets of hosts by name, and until when.
struct Weather {
  /// Pairs (by name, in order) between which nothing goes, and when that ends.
  var parted: [String: MonotonicInstant] = [:]
  /// Hosts whose connections are slow, break, lose acknowledgements, fail in TLS.
  var slow: Set<String> = []
  var breaking: Set<String> = []
  var losing: Set<String> = []
  var withBrokenTLS: Set<String> = []

  static func pair(_ one: String, _ other: String) -> String { one < other ? "\(one)|\(other)" : "\(other)|\(one)" }

  func isParted(_ one: NetworkHost, _ other: NetworkHost?) -> Bool {
    guard !parted.isEmpty, let other else { return false }
    return parted[Self.pair(one.name, other.name)] != nil
  }

  func heals(_ one: NetworkHost, _ other: NetworkHost) -> MonotonicInstant { parted[Self.pair(one.name, other.name)] ?? .never }

  private func concerns(_ names: Set<String>, _ one: NetworkHost, _ other: NetworkHost) -> Bool {
    !names.isEmpty && (names.contains(one.name) || names.contains(other.name))
  }

  func isSlow(_ one: NetworkHost, _ other: NetworkHost) -> Bool { concerns(slow, one, other) }

  func breaks(_ one: NetworkHost, _ other: NetworkHost, _ random: SeededRandom) -> Bool {
    concerns(breaking, one, other) && random.chance(in: 2)
  }

  func breaksTLS(_ one: NetworkHost, _ other: NetworkHost) -> Bool { concerns(withBrokenTLS, one, other) }

  func losesAcknowledgement(_ one: NetworkHost, _ other: NetworkHost, _ random: SeededRandom) -> Bool {
    concerns(losing, one, other) && random.chance(in: 2)
  }

  /// 5 to 150 ms, the same for the same two hosts.
  func way(_ one: IPAddress, _ other: IPAddress, _ random: SeededRandom) -> Way {
    let sum = zip(one.bytes, other.bytes).reduce(0) { $0 &* 31 &+ Int($1.0) + Int($1.1) }
    return Way(latency: .milliseconds(5 + sum % 145))
  }
}
