import Outside

/// Makes a failing scenario smaller as long as the same invariant fails: fewer servers, messages, faults, a shorter time.
public struct Shrinker {
  /// What was left.
  public struct Outcome: Sendable {
    public var scenario: Scenario
    /// What it still breaks.
    public var violation: Violation
    /// Runs that it took.
    public var runs: Int
  }

  private let invariant: String
  private let budget: Int
  private var runs = 0
  private var best: Scenario
  private var violation: Violation

  /// Shrinks `scenario`, which breaks `violation`, in at most `budget` runs.
  public static func shrink(_ scenario: Scenario, _ violation: Violation, budget: Int = 200) -> Outcome {
    var shrinker = Shrinker(invariant: violation.invariant, budget: budget, best: scenario, violation: violation)
    while shrinker.round() {}
    return Outcome(scenario: shrinker.best, violation: shrinker.violation, runs: shrinker.runs)
  }

  private init(invariant: String, budget: Int, best: Scenario, violation: Violation) {
    self.invariant = invariant
    self.budget = budget
    self.best = best
    self.violation = violation
  }

  /// One pass over everything that may be left out; whether anything could.
  private mutating func round() -> Bool {
    let before = (best.messages.count, best.faultCount, best.servers, best.safety)
    thin(\.messages)
    thin(\.faults)
    thin(\.attacks)
    let gathered = best.gathered()
    if gathered.servers < best.servers { _ = keep { $0 = gathered } }
    for servers in [1, 2, 3, best.servers / 2] where servers < best.servers && servers > 0 {
      if keep({ $0.servers = servers }) { break }
    }
    let last = max(best.messages.map(\.at).max() ?? .zero, best.faults.map { $0.at + $0.lasting }.max() ?? .zero) + .seconds(3_600)
    if last < best.safety { _ = keep { $0.safety = last } }
    return runs < budget && before != (best.messages.count, best.faultCount, best.servers, best.safety)
  }

  /// Leaves out pieces of a list, large ones first.
  private mutating func thin<Element>(_ list: WritableKeyPath<Scenario, [Element]>) {
    var size = max(best[keyPath: list].count, 1)
    while size > 0, runs < budget {
      var start = 0
      while start < best[keyPath: list].count, runs < budget {
        let end = min(start + size, best[keyPath: list].count)
        if !keep({ $0[keyPath: list].removeSubrange(start..<end) }) { start = end }
      }
      size /= 2
    }
  }

  /// Keeps a change if the same invariant still fails.
  private mutating func keep(_ change: (inout Scenario) -> Void) -> Bool {
    guard runs < budget else { return false }
    var candidate = best
    change(&candidate)
    runs += 1
    guard let found = Simulation.run(candidate).violations.first(where: { $0.invariant == invariant }) else { return false }
    (best, violation) = (candidate, found)
    return true
  }
}

extension Scenario: CustomStringConvertible {
  /// All of it, in lines.
  public var description: String {
    var lines = [
      "seed \(seed): \(servers) servers, \(hosts) other hosts, \(Self.time(safety)), \(messages.count) messages, \(faultCount) faults"
    ]
    if let plant { lines.append("planted: \(plant.rawValue)") }
    for message in messages {
      lines.append(
        "\(Self.time(message.at)): \(message.token) from <\(message.sender ?? "")> at s\(message.server) to \(message.recipients.joined(separator: " ")), \(message.octets) octets\(message.notify.map { ", NOTIFY=\($0.rawValue)" } ?? "")"
      )
    }
    for fault in faults { lines.append("\(Self.time(fault.at)): \(fault.action) for \(Self.time(fault.lasting))") }
    for attack in attacks { lines.append("\(Self.time(attack.at)): \(attack.kind.rawValue) at s\(attack.server)") }
    return lines.joined(separator: "\n")
  }

  /// `3 d 02:15:07.250`.
  static func time(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let milliseconds = attoseconds / 1_000_000_000_000_000
    let tail = milliseconds > 0 ? ".\(milliseconds + 1_000)".replacing(".1", with: ".", maxReplacements: 1) : ""
    return "\(seconds / 86_400) d \(two(seconds / 3_600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))\(tail)"
  }
}
