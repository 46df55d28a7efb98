import Foundation
import Testing

@testable import MartletSimulation

@Suite("The simulated internet")
struct SimulatedInternetTests {
  /// Server-years that one run of the tests simulates.
  static let wanted = 100.0

  private func pair(_ recipients: [String], change: (inout Scenario) -> Void = { _ in }) -> Scenario {
    var scenario = Scenario.from(seed: 7, servers: 2, days: 1, messages: 0, faults: 0)
    scenario.attacks = []
    scenario.messages = [
      .init(number: 0, at: .seconds(5), server: 0, sender: "u0@s0.sim", recipients: recipients, octets: 500)
    ]
    change(&scenario)
    return scenario
  }

  @Test("two servers exchange a message, in virtual time")
  func pairExchanges() {
    let result = Simulation.run(pair(["u1@s1.sim"]))
    #expect(result.violations.isEmpty, "\(result.violations)")
    #expect(result.figures.delivered == 1)
    #expect(result.figures.accepted == 1)
    #expect(result.figures.faults.isEmpty)
  }

  @Test("what a host refuses for good comes back to its sender, and what nobody serves comes back in the end")
  func bounces() {
    let result = Simulation.run(pair(["u3@h0.sim", "x@null.sim", "x@missing.sim"]))
    #expect(result.violations.isEmpty, "\(result.violations)")
    #expect(result.figures.bounced == 3)
    // Notifications lie in the sender's mailbox.
    #expect(result.figures.delivered == result.figures.notifications)
    #expect(result.figures.notifications > 0)
  }

  @Test("a list leads to two servers, a name behind an alias and one of 500 exchangers to a host elsewhere")
  func routes() {
    let result = Simulation.run(pair(["x@many.sim", "x@alias.sim", "x@implicit.sim"]))
    #expect(result.violations.isEmpty, "\(result.violations)")
    #expect(result.figures.takenElsewhere == 3)
    let list = Simulation.run(pair(["all@s0.sim"]))
    #expect(list.violations.isEmpty, "\(list.violations)")
    #expect(list.figures.delivered == 2)
  }

  @Test("at least a hundred server-years, everything going wrong: no invariant is broken, and each kind of fault happened")
  func campaign() throws {
    let seconds = ProcessInfo.processInfo.environment["MARTLET_LONG_SECONDS"].flatMap(Double.init) ?? 0
    let begun = Date()
    var report = Campaign.Report()
    var first: UInt64 = 1
    repeat {
      let part = Campaign(first: first, seeds: 11).run(stopsAtFailure: true)
      first += 11
      report.seeds += part.seeds
      report.serverYears += part.serverYears
      report.figures.add(part.figures)
      report.failures += part.failures
    } while report.failures.isEmpty && (report.serverYears < Self.wanted || Date().timeIntervalSince(begun) < seconds)
    for failure in report.failures {
      Issue.record("seed \(failure.seed): \(failure.violations.prefix(10).map { "\($0.invariant): \($0.what)" })")
    }
    #expect(report.figures.missing.isEmpty, "never happened: \(report.figures.missing)")
    #expect(report.figures.duplicates.count > 2, "\(report.figures.duplicates)")
    #expect(report.figures.queuedWhenCalm > 100)
    let minutes = Date().timeIntervalSince(begun) / 60
    print(
      "figures: \(report.seeds) seeds, \(Int(report.serverYears)) server-years, \(Int(report.serverYears / minutes)) a minute, "
        + "\(report.figures.messages) messages, \(report.figures.attempts) attempts, \(report.figures.faults.values.reduce(0, +)) faults, "
        + "\(report.figures.outcomesRebuilt) outcomes rebuilt from the trace, \(report.failures.count) seeds failed")
  }

  @Test("a seed is repeated event for event, another one is another run", arguments: [3, 11] as [UInt64])
  func replays(seed: UInt64) {
    let scenario = Scenario.from(seed: seed, days: 10)
    let first = Simulation.run(scenario)
    let second = Simulation.run(scenario)
    #expect(first.digest == second.digest)
    #expect(first.events == second.events)
    #expect(first.events > 3_000)
    #expect(Simulation.run(Scenario.from(seed: seed + 1, days: 10)).digest != first.digest)
  }

  @Test("each planted fault is found, by the invariant that is meant to find it", arguments: Plant.allCases)
  func plants(plant: Plant) throws {
    let find = PlantHunt.find(plant)
    let violation = try #require(find.violation, "\(plant) was not found")
    print("figures: planted \(plant.rawValue): found by seed \(find.seed ?? 0), \(violation.invariant)")
    #expect(plant.foundBy.contains(violation.invariant))
  }

  @Test("a failing seed is made as small as it gets, and still fails")
  func shrinks() throws {
    let find = PlantHunt.find(.lostAcknowledgement)
    let whole = Campaign(seeds: 1, days: 10, plant: .lostAcknowledgement).scenario(try #require(find.seed))
    let shrunk = try #require(PlantHunt.shrink(find))
    #expect(shrunk.violation.invariant == Duplicates.name)
    #expect(shrunk.scenario.messageCount < whole.messageCount / 20)
    #expect(shrunk.scenario.faultCount < whole.faultCount / 20)
    #expect(shrunk.scenario.servers < whole.servers)
    #expect(shrunk.scenario.safety <= whole.safety)
    #expect(Simulation.run(shrunk.scenario).violations.contains { $0.invariant == Duplicates.name })
    #expect("\(shrunk.scenario)".contains("planted: lost-acknowledgement"))
  }
}
