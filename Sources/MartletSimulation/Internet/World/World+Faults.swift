import Outside

/// What goes wrong, and how it ends.
extension World {
  func strike(_ fault: Scenario.Fault) {
    history.digest.add("fault \(fault.action)")
    let until = now.advanced(by: fault.lasting)
    switch fault.action {
    case .part(let one, let other): if one != other { part(one, [other], until) }
    case .isolate(let name): part(name, everybody.filter { $0 != name }, until)
    case .slow(let name): during(fault.lasting, { $0.slow.insert(name) }, { $0.slow.remove(name) })
    case .breaking(let name): during(fault.lasting, { $0.breaking.insert(name) }, { $0.breaking.remove(name) })
    case .losing(let name): during(fault.lasting, { $0.losing.insert(name) }, { $0.losing.remove(name) })
    case .brokenTLS(let name): during(fault.lasting, { $0.withBrokenTLS.insert(name) }, { $0.withBrokenTLS.remove(name) })
    case .failingNames(let domain):
      names.failing.insert(domain)
      later(fault.lasting) { $0.names.failing.remove(domain) }
    case .silentNames(let domain):
      names.silent.insert(domain)
      later(fault.lasting) { $0.names.silent.remove(domain) }
    case .host(let number, let manners):
      guard hosts.indices.contains(number) else { return }
      hosts[number].manners = manners
      later(fault.lasting) { $0.hosts[number].manners = .good }
    default: strikeServer(fault)
    }
  }

  private func strikeServer(_ fault: Scenario.Fault) {
    switch fault.action {
    case .crash(let number): kill(number, .kept, losesPower: false, .crash, down: fault.lasting)
    case .powerCut(let number, let survival):
      let kind: FaultKind = survival == .kept ? .powerCutKept : survival == .dropped ? .powerCutDropped : .powerCutTorn
      kill(number, survival, losesPower: true, kind, down: fault.lasting)
    case .crashInWrite(let number, let after):
      guard let server = running(number) else { return }
      server.killInWrite(after: after) { [self] in kill(number, .kept, losesPower: false, .crashInWrite, down: fault.lasting) }
      later(.seconds(86_400)) { if $0.servers[number] === server { server.clearFaults() } }
    case .fullDisk(let number):
      guard let server = running(number) else { return }
      counts.note(.fullDisk)
      server.setCapacity(server.used + 2_000)
      history.trouble(server.name, from: now, until: now.advanced(by: fault.lasting).advanced(by: .seconds(60)))
      later(fault.lasting) { _ in server.setCapacity(.max) }
    case .failedSync(let number):
      guard let server = running(number) else { return }
      server.failSync { [self] in
        counts.note(.failedSync)
        history.trouble(server.name, from: now, until: now.advanced(by: .seconds(60)))
      }
    case .clock(let number, let by):
      guard servers.indices.contains(number) else { return }
      counts.note(by > .zero ? .clockForward : .clockBack)
      setClock(servers[number], by)
      later(fault.lasting) { $0.setClock($0.servers[number], .zero) }
    default: return
    }
  }

  func setClock(_ server: SimulatedServer, _ by: Duration) {
    server.clock.set(by)
    history.clockSet(server.name)
  }

  private var everybody: [String] { servers.map(\.name) + hosts.map(\.name) + ["evil"] }

  private func running(_ number: Int) -> SimulatedServer? {
    guard servers.indices.contains(number), servers[number].isRunning else { return nil }
    return servers[number]
  }

  private func kill(_ number: Int, _ survival: Survival, losesPower: Bool, _ kind: FaultKind, down: Duration) {
    guard let server = running(number) else { return }
    counts.note(kind)
    server.kill(survival, losesPower: losesPower)
    later(down) { world in world.boot(server) }
  }

  private func part(_ one: String, _ others: [String], _ until: MonotonicInstant) {
    for other in others {
      let pair = Weather.pair(one, other)
      network.weather.parted[pair] = max(until, network.weather.parted[pair] ?? until)
    }
    later(until.since(now)) { world in
      for other in others {
        let pair = Weather.pair(one, other)
        if let end = world.network.weather.parted[pair], end <= world.now { world.network.weather.parted[pair] = nil }
      }
    }
  }

  private func during(_ lasting: Duration, _ begin: (inout Weather) -> Void, _ end: @escaping @Sendable (inout Weather) -> Void) {
    begin(&network.weather)
    later(lasting) { end(&$0.network.weather) }
  }

  /// The end of a fault; nothing once all faults have ended.
  private func later(_ lasting: Duration, _ body: @escaping @Sendable (World) -> Void) {
    executor.wake(at: now.advanced(by: lasting)) { [self] in if !isCalm { body(self) } }
  }
}
