import Outside

/// Many seeds, one after the other.
public struct Campaign: Sendable {
  /// What came of it.
  public struct Report: Sendable {
    public var first: UInt64 = 0
    public var seeds = 0
    public var serverYears = 0.0
    public var events = 0
    public var figures = Figures()
    public var failures: [Simulation.Result] = []

    public init() {}
  }

  public var first: UInt64
  public var seeds: Int
  public var servers: Int
  public var days: Int
  public var plant: Plant?

  public init(first: UInt64 = 1, seeds: Int, servers: Int = 20, days: Int = 40, plant: Plant? = nil) {
    self.first = first
    self.seeds = max(seeds, 0)
    self.servers = max(servers, 1)
    self.days = max(days, 1)
    self.plant = plant
  }

  /// What `seed` means in this campaign.
  public func scenario(_ seed: UInt64) -> Scenario {
    var scenario = Scenario.from(seed: seed, servers: servers, days: days)
    scenario.plant = plant
    return scenario
  }

  /// Runs all seeds; with `stopsAtFailure`, up to the first that fails.
  ///
  /// - Parameter progress: called after each seed with how many are done.
  public func run(stopsAtFailure: Bool = false, progress: (Int) -> Void = { _ in }) -> Report {
    var report = Report()
    report.first = first
    for number in 0..<seeds {
      let result = Simulation.run(scenario(first &+ UInt64(number)))
      report.seeds += 1
      report.serverYears += result.serverYears
      report.events += result.events
      report.figures.add(result.figures)
      if !result.violations.isEmpty { report.failures.append(result) }
      progress(report.seeds)
      if stopsAtFailure, !report.failures.isEmpty { break }
    }
    return report
  }
}
