import Outside

/// One run of the simulated internet: a scenario, played and judged.
public enum Simulation {
  /// What a run came to.
  public struct Result: Sendable {
    public var seed: UInt64
    public var violations: [Violation] = []
    /// A digest of every event: the same scenario gives the same one.
    public var digest: UInt64 = 0
    public var events = 0
    public var serverYears = 0.0
    public var figures = Figures()
  }

  /// Runs `scenario`. Does not throw: what breaks is a violation.
  ///
  /// - Parameter listener: told of each event, with its time, as one line.
  public static func run(_ scenario: Scenario, listener: ((String) -> Void)? = nil) -> Result {
    let world = World(scenario)
    if let listener {
      let clock = world.executor.clock
      let start = clock.monotonic()
      world.history.digest.listener = { listener("\(Scenario.time(clock.monotonic().since(start))) \($0)") }
    }
    var result = Result(seed: scenario.seed)
    var censuses: [Census] = []
    do {
      try world.run()
      // Everything is up again, and has had no time to drain yet.
      world.calm()
      world.settle(for: SimulatedServer.longestPause + .seconds(60))
      censuses.append(try look(at: world))
      result.violations += judge(world, censuses)
      world.settle(for: Scenario.liveness)
      world.isOver = true
      censuses.append(try look(at: world))
      result.violations += judge(world, censuses) + Drained.check(censuses[1])
    } catch {
      world.history.broken("liveness", "\(error)")
    }
    var seen: Set<Violation> = []
    result.violations = (world.history.violations + result.violations).filter { seen.insert($0).inserted }
    result.digest = world.history.digest.value
    result.events = world.history.digest.events
    result.serverYears = scenario.serverYears
    result.figures = Figures(world, censuses)
    world.end()
    return result
  }

  /// Everybody reads their mail, then the stores are looked into.
  private static func look(at world: World) throws -> Census {
    try world.executor.run {
      for server in world.servers { await server.reader.read(acts: false) }
      return await Census.take(of: world)
    }
  }

  /// What the last look shows, by all that was seen up to now.
  private static func judge(_ world: World, _ censuses: [Census]) -> [Violation] {
    guard let census = censuses.last else { return [] }
    let history = world.history
    let lists = Dictionary(
      world.servers.map { ("all@\($0.domain)", world.list(of: $0.number)) }, uniquingKeysWith: { first, _ in first })
    return Conservation.check(history, census, lists: lists) + Addressees.check(history, census, lists: lists)
      + NullPath.check(history, census) + Notifications.check(history, census) + Duplicates.check(history, census).violations
      + TraceComplete.check(history, census).violations + TraceOfRefusals.check(history, census).violations
      + RetryPace.check(history)
  }
}
