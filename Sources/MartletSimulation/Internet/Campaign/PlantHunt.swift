/// Plants each fault and lets the invariants look for it.
public enum PlantHunt {
  /// Days with faults of each seed that is searched.
  public static let days = 10

  /// How one planted fault was found.
  public struct Find: Sendable {
    public var plant: Plant
    /// nil: it was not found.
    public var seed: UInt64?
    public var violation: Violation?
    /// Seeds that were run, the finding one too.
    public var seedsRun: Int
    /// Invariants that spoke of it in that seed.
    public var invariants: [String]
  }

  /// The first seed from `first` on, of at most `seeds`, whose run finds `plant` by an invariant that is meant to.
  public static func find(_ plant: Plant, first: UInt64 = 1, seeds: Int = 10, days: Int = PlantHunt.days) -> Find {
    let campaign = Campaign(first: first, seeds: seeds, days: days, plant: plant)
    for number in 0..<seeds {
      let seed = first &+ UInt64(number)
      let violations = Simulation.run(campaign.scenario(seed)).violations
      guard let violation = violations.first(where: { plant.foundBy.contains($0.invariant) }) else { continue }
      return Find(
        plant: plant, seed: seed, violation: violation, seedsRun: number + 1, invariants: Set(violations.map(\.invariant)).sorted())
    }
    return Find(plant: plant, seed: nil, violation: nil, seedsRun: seeds, invariants: [])
  }

  /// The finding scenario again, as small as it gets.
  public static func shrink(_ find: Find, days: Int = PlantHunt.days, budget: Int = 200) -> Shrinker.Outcome? {
    guard let seed = find.seed, let violation = find.violation else { return nil }
    return Shrinker.shrink(Campaign(seeds: 1, days: days, plant: find.plant).scenario(seed), violation, budget: budget)
  }
}
