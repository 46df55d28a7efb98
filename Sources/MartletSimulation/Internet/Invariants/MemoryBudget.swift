import Outside

/// What a server held in memory at most.
struct MemoryUse {
  var jobs = 0
  var bodies = 0
  var connections = 0
  var content = 0
  var wires = 0
}

/// Sessions and delivery stay within their limits, whatever comes.
enum MemoryBudget {
  static let name = "memory budget"
  /// Octets one connection may hold: what it read and what it has to say.
  static let connection = WireEnd.read + 2 * 65_536
  /// Recipients that one claim may bring beyond the limit of jobs.
  static let claim = 10

  static func look(at world: World) { for server in world.servers { look(at: server, in: world) } }

  static func look(at server: SimulatedServer, in world: World) {
    guard let process = server.process else { return }
    let holding = process.scheduler.holding
    let use = MemoryUse(
      jobs: holding.jobs, bodies: holding.octets, connections: holding.connections, content: process.memory.octets,
      wires: server.host.held)
    for what in excesses(use, wires: server.host.wires.count) { world.history.broken(name, "\(server.name): \(what)") }
    world.mostHeld.raise(to: use)
  }

  /// What is over its budget.
  static func excesses(_ use: MemoryUse, wires: Int) -> [String] {
    var found: [String] = []
    if use.jobs > World.jobs + claim { found.append("\(use.jobs) jobs in memory") }
    if use.bodies > World.bodyMemory { found.append("\(use.bodies) octets of messages in memory") }
    if use.connections > World.connections { found.append("\(use.connections) connections") }
    if use.content > World.contentMemory { found.append("\(use.content) octets of headers in memory") }
    if use.wires > wires * connection { found.append("\(use.wires) octets in \(wires) connections") }
    return found
  }
}

extension MemoryUse {
  mutating func raise(to other: MemoryUse) {
    jobs = max(jobs, other.jobs)
    bodies = max(bodies, other.bodies)
    connections = max(connections, other.connections)
    content = max(content, other.content)
    wires = max(wires, other.wires)
  }
}
