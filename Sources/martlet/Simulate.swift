import ArgumentParser
import Foundation
import MartletServer
import MartletSimulation

/// `martlet simulate`
struct Simulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate", abstract: "Run whole servers in a simulated internet, and judge them.",
    discussion: """
      Needs no configuration and touches nothing outside its own memory. Ends with 0 if no invariant was broken, else with 1, and shows the \
      first seed that failed, made as small as it gets.
      """)

  @Option(help: "How many seeds to run.")
  var seeds = 10

  @Option(help: "The first of them.")
  var first: UInt64 = 1

  @Option(help: ArgumentHelp("Days with faults that each seed simulates.", valueName: "days"))
  var days = 40

  @Option(help: ArgumentHelp("Run this one twice and show what it came to, event for event the same.", valueName: "seed"))
  var replay: UInt64?

  @Option(help: ArgumentHelp("Plant a fault: \(Plant.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "fault"))
  var plant: String?

  @Option(help: ArgumentHelp("Write what was found to a file, with every planted fault.", valueName: "file"))
  var report: String?

  @Option(help: ArgumentHelp("What the report calls this version.", valueName: "commit"))
  var commit = MartletVersion.text

  @Flag(help: "With --replay: tell every event, a line each, before what came of them.")
  var events = false

  @Flag(help: "Answer in JSON.")
  var json = false

  func validate() throws {
    guard seeds > 0, seeds <= 1_000_000, days > 0, days <= 3_650 else {
      throw ValidationError("--seeds is a number from 1 to 1000000, --days from 1 to 3650")
    }
    if let plant, Plant(rawValue: plant) == nil {
      throw ValidationError("no such fault: \(plant); there are: \(Plant.allCases.map(\.rawValue).joined(separator: ", "))")
    }
  }

  func run() async throws {
    let campaign = Campaign(first: first, seeds: seeds, days: days, plant: plant.flatMap(Plant.init(rawValue:)))
    do throws(AdminFailure) {
      if let replay { try showReplay(replay, campaign) } else { try await runAll(campaign) }
    } catch {
      throw error.exit()
    }
  }

  // MARK: One seed

  private func showReplay(_ seed: UInt64, _ campaign: Campaign) throws(AdminFailure) {
    let scenario = campaign.scenario(seed)
    let once = Simulation.run(scenario, listener: events ? { Console.say($0) } : nil)
    let twice = Simulation.run(scenario)
    if json {
      try say(
        Shown(
          seeds: 1, first: seed, serverYears: once.serverYears, seconds: nil, events: once.events, digest: Self.hex(once.digest),
          isRepeated: once.digest == twice.digest, figures: once.figures,
          failures: once.violations.isEmpty ? [] : [.init(seed: seed, violations: once.violations)]))
    } else {
      Console.say(
        "seed \(seed): \(once.events) events, digest \(Self.hex(once.digest)), run again \(Self.hex(twice.digest)), "
          + (once.digest == twice.digest ? "the same" : "NOT the same"))
      for violation in once.violations { Console.say("\(violation.invariant): \(violation.what)") }
      if !once.violations.isEmpty { showSmallest(scenario, once) }
    }
    guard once.digest == twice.digest else { throw AdminFailure("the seed does not repeat") }
    guard once.violations.isEmpty else { throw AdminFailure("\(once.violations.count) violations") }
  }

  private func showSmallest(_ scenario: Scenario, _ result: Simulation.Result) {
    guard let violation = result.violations.first else { return }
    let smallest = Shrinker.shrink(scenario, violation)
    Console.say("as small as it gets (\(smallest.runs) runs), still \(smallest.violation.invariant): \(smallest.violation.what)")
    Console.say("\(smallest.scenario)")
  }

  // MARK: Many

  private func runAll(_ campaign: Campaign) async throws(AdminFailure) {
    let output = ConsoleOutput(files: nil)
    let begun = SystemClock().monotonic()
    let result = try await output.watching { watch in
      campaign.run { done in
        watch(AdminProgress(done: Int64(done), total: Int64(campaign.seeds), what: "seeds", isLast: done == campaign.seeds))
      }
    }
    let seconds = Double(SystemClock().monotonic().since(begun).nanoseconds) / 1e9
    if json {
      try say(
        Shown(
          seeds: result.seeds, first: campaign.first, serverYears: result.serverYears, seconds: seconds, events: result.events,
          digest: nil, isRepeated: nil, figures: result.figures,
          failures: result.failures.map { .init(seed: $0.seed, violations: $0.violations) }))
    } else {
      Console.say(
        "\(result.seeds) seeds, \(Self.rounded(result.serverYears)) server-years in \(Self.rounded(seconds)) s "
          + "(\(Self.rounded(result.serverYears / max(seconds, 0.001) * 60)) a minute), \(result.figures.messages) messages, "
          + "\(result.figures.faults.values.reduce(0, +)) faults, \(result.failures.count) seeds failed")
      for failure in result.failures {
        for violation in failure.violations.prefix(20) {
          Console.say("seed \(failure.seed): \(violation.invariant): \(violation.what)")
        }
      }
      if let first = result.failures.first { showSmallest(campaign.scenario(first.seed), first) }
    }
    if let report { try await write(report, campaign, result, seconds, output) }
    guard result.failures.isEmpty else { throw AdminFailure("\(result.failures.count) of \(result.seeds) seeds failed") }
  }

  private func write(
    _ file: String, _ campaign: Campaign, _ result: Campaign.Report, _ seconds: Double, _ output: ConsoleOutput
  ) async throws(AdminFailure) {
    let plants = Plant.allCases
    let (finds, shrunk) = try await output.watching { watch in
      var finds: [PlantHunt.Find] = []
      for plant in plants {
        finds.append(PlantHunt.find(plant))
        watch(
          AdminProgress(
            done: Int64(finds.count), total: Int64(plants.count), what: "planted faults", isLast: finds.count == plants.count))
      }
      return (finds, finds.first { $0.seed != nil }.flatMap { PlantHunt.shrink($0) })
    }
    let scenario = campaign.scenario(campaign.first)
    let (once, twice) = (Simulation.run(scenario), Simulation.run(scenario))
    let text = ReliabilityReport(
      campaign: campaign, report: result, finds: finds, shrunk: shrunk,
      replay: (scenario.seed, once.digest, twice.digest, once.events), seconds: seconds,
      date: String(Date().ISO8601Format().prefix(10)), commit: commit
    ).markdown
    do { try text.write(toFile: file, atomically: true, encoding: .utf8) } catch {
      throw AdminFailure("\(file) can't be written: \(error.localizedDescription)")
    }
    let lost = finds.filter { $0.seed == nil }.map(\.plant.rawValue)
    guard lost.isEmpty else { throw AdminFailure("planted and not found: \(lost.joined(separator: ", "))") }
  }

  // MARK: What is shown

  private struct Shown: Encodable {
    struct Failure: Encodable {
      var seed: UInt64
      var violations: [Violation]
    }

    var seeds: Int
    var first: UInt64
    var serverYears: Double
    var seconds: Double?
    var events: Int
    var digest: String?
    var isRepeated: Bool?
    var figures: Figures
    var failures: [Failure]
  }

  private func say(_ shown: Shown) throws(AdminFailure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(shown) else { throw AdminFailure("the answer can't be written as JSON") }
    Console.say(String(decoding: data, as: UTF8.self))
  }

  private static func hex(_ number: UInt64) -> String { String(number, radix: 16) }
  private static func rounded(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
}
