import Outside

/// Everything that is to happen in one run, as data: a failing one can be made smaller piece by piece.
public struct Scenario: Sendable {
  /// Somebody's message.
  struct Message: Sendable {
    var number: Int
    /// From the beginning of the run.
    var at: Duration
    var server: Int
    /// nil: the null path.
    var sender: String?
    var recipients: [String]
    /// What is asked for with each recipient; nil: nothing.
    var notify: Notify?
    var octets: Int

    var token: String { "m\(number)" }
  }

  /// What goes wrong, from when, for how long.
  struct Fault: Sendable {
    var at: Duration
    var lasting: Duration
    var action: Action

    enum Action: Sendable {
      case part(String, String)
      case isolate(String)
      case slow(String)
      case breaking(String)
      case losing(String)
      case brokenTLS(String)
      case failingNames(String)
      case silentNames(String)
      /// A process dies; `lasting` is how long it is down.
      case crash(server: Int)
      case crashInWrite(server: Int, after: Int)
      case powerCut(server: Int, Survival)
      case fullDisk(server: Int)
      case failedSync(server: Int)
      case clock(server: Int, by: Duration)
      case host(Int, HostManners)
    }
  }

  /// Somebody with bad intentions.
  struct Attack: Sendable {
    var at: Duration
    var server: Int
    var kind: FaultKind
    var number: Int
  }

  public var seed: UInt64
  /// Martlet servers.
  public var servers: Int
  /// Hosts that are not Martlet.
  public var hosts: Int
  /// The phase with faults.
  public var safety: Duration
  var messages: [Message] = []
  var faults: [Fault] = []
  var attacks: [Attack] = []
  public var plant: Plant?

  /// At most so long all queues may take to drain once the faults stop: two days.
  static let liveness = Duration.seconds(172_800)

  public var messageCount: Int { messages.count }
  public var faultCount: Int { faults.count + attacks.count }

  /// Server-years that a run of it simulates.
  public var serverYears: Double {
    Double((safety + Self.liveness).components.seconds) * Double(servers) / (365.25 * 86_400)
  }

  /// What `seed` makes.
  public static func from(seed: UInt64, servers: Int = 20, days: Int = 40, messages: Int = 320, faults: Int = 176) -> Scenario {
    var maker = ScenarioMaker(seed: seed, servers: servers, hosts: 8, days: days)
    return maker.make(messages: messages, faults: faults)
  }
}

/// Draws a scenario.
struct ScenarioMaker {
  private let random: SeededRandom
  private var scenario: Scenario
  private let span: UInt64

  /// Domains without a host of their own, and what is odd about them.
  static let oddDomains = ["null.sim", "loop.sim", "bogus.sim", "missing.sim", "many.sim", "alias.sim", "implicit.sim"]

  init(seed: UInt64, servers: Int, hosts: Int, days: Int) {
    random = SeededRandom(seed: seed)
    span = UInt64(days) * 86_400
    scenario = Scenario(seed: seed, servers: servers, hosts: hosts, safety: .seconds(days * 86_400))
  }

  mutating func make(messages: Int, faults: Int) -> Scenario {
    for number in 0..<messages { scenario.messages.append(message(number)) }
    for number in 0..<faults { scenario.faults.append(fault(number)) }
    let attacks: [FaultKind] = [.smuggling, .oversized, .endlessLine, .halfSession, .earlyTalker, .openRelay]
    for (number, kind) in (attacks + attacks).enumerated() {
      scenario.attacks.append(.init(at: moment(), server: server(), kind: kind, number: number))
    }
    for _ in 0..<3 where messages > 50 { burst() }
    scenario.messages.sort { ($0.at, $0.number) < ($1.at, $1.number) }
    scenario.faults.sort { $0.at < $1.at }
    return scenario
  }

  private func below(_ bound: Int) -> Int { Int(clamping: random.next(below: UInt64(max(bound, 1)))) }
  /// Some time; a quarter falls on the last hours, so that the faults stop while much is under way.
  private func moment() -> Duration {
    let late = random.chance(in: 4) ? min(21_600, span) : span
    return .milliseconds(Int64(clamping: (span - late) * 1_000 + random.next(below: late * 1_000)))
  }
  private func server() -> Int { below(scenario.servers) }
  private func user(_ server: Int) -> String { "u\(below(3))@s\(server).sim" }

  /// What most say nothing of. Nobody asks for what the null path can't get.
  private func notify(_ sender: String?) -> Notify? {
    guard sender != nil, random.chance(in: 3) else { return nil }
    return random.pick(Notify.allCases)
  }

  private func recipient(from own: Int) -> String {
    if random.chance(in: 24) { return "nobody@s\(server()).sim" }
    return switch below(20) {
    case 0...2: user(own)
    case 3...10: user(server())
    case 11: "all@s\(server()).sim"
    case 12...17: "u\(below(4))@h\(below(scenario.hosts)).sim"
    default: "someone@\(random.pick(Self.oddDomains) ?? "null.sim")"
    }
  }

  private mutating func message(_ number: Int) -> Scenario.Message {
    let own = server()
    var recipients: [String] = []
    for _ in 0..<(random.chance(in: 3) ? 1 + below(4) : 1) {
      let one = recipient(from: own)
      // A list is written to alone, so that who is on it gets one copy.
      if one.hasPrefix("all@") { recipients = [one]; break }
      if !recipients.contains(one) { recipients.append(one) }
    }
    // Bursts meet what is wrong just then more often than single messages do.
    var at = moment()
    if let last = scenario.messages.last, random.chance(in: 3) { at = last.at + .milliseconds(below(2_000)) }
    let octets = random.chance(in: 12) ? 5_000 + below(90_000) : 50 + below(2_000)
    let sender = random.chance(in: 12) ? nil : user(own)
    return .init(
      number: number, at: at, server: own, sender: sender, recipients: recipients, notify: notify(sender), octets: octets)
  }

  /// Much at once from one server to few destinations: more than it may hold in memory.
  private mutating func burst() {
    let own = server()
    let at = moment()
    let recipients = ["u0@h\(below(scenario.hosts)).sim", "u1@h\(below(scenario.hosts)).sim", user(server())]
    for place in 0..<40 {
      scenario.messages.append(
        .init(
          number: scenario.messages.count, at: at + .milliseconds(place * 40), server: own, sender: user(own),
          recipients: [recipients[place % 3]], octets: 500 + below(6_000)))
    }
  }

  /// Where a fault strikes: mostly where a message passes just then, so that it meets something.
  private func aim(at hostsOnly: Bool) -> (at: Duration, server: Int, name: String) {
    let messages = hostsOnly ? scenario.messages.filter { $0.recipients.contains { $0.contains("@h") } } : scenario.messages
    guard !random.chance(in: 5), let message = random.pick(messages) else {
      let own = server()
      return (moment(), own, random.chance(in: 2) ? "s\(own)" : "h\(below(scenario.hosts))")
    }
    let domains = message.recipients.compactMap { $0.split(separator: "@").last?.split(separator: ".").first.map(String.init) }
    let name = random.pick(domains.filter { !hostsOnly || $0.hasPrefix("h") }) ?? "s\(message.server)"
    let receiver = name.hasPrefix("s") ? Int(name.dropFirst()) : nil
    return (message.at, random.chance(in: 2) ? receiver ?? message.server : message.server, name)
  }

  /// Each kind in turn, so that every run has all of them.
  private mutating func fault(_ number: Int) -> Scenario.Fault {
    let kind = number % 16
    let (moment, own, aimed) = aim(at: kind == 15 || kind == 4)
    let name = kind == 15 && !aimed.hasPrefix("h") ? "h\(below(scenario.hosts))" : aimed
    // Those that end a process strike while it works; the others are there already.
    let strikes = (0...3).contains(kind) || kind == 14
    let at = strikes ? moment + .milliseconds(below(3_000)) : max(.zero, moment - .seconds(below(120)))
    let lasting = Duration.seconds(60 + below(21_600))
    let down = Duration.seconds(5 + below(7_200))
    let action: Scenario.Fault.Action
    switch kind {
    case 0: action = .crash(server: own)
    case 1: action = .powerCut(server: own, .dropped)
    case 2: action = .powerCut(server: own, .torn)
    case 3: action = .crashInWrite(server: own, after: below(60))
    case 4: action = .losing(name)
    case 5: action = .part("s\(own)", "s\(server())")
    case 6: action = .isolate(name)
    case 7: action = .slow(name)
    case 8: action = .breaking(name)
    case 9: action = .brokenTLS(name)
    case 10: action = random.chance(in: 2) ? .failingNames("\(name).sim") : .silentNames("\(name).sim")
    case 11: action = .fullDisk(server: own)
    case 12: action = .failedSync(server: own)
    case 13:
      let hours = 1 + below(120)
      action = .clock(server: own, by: .seconds((random.chance(in: 2) ? 1 : -1) * hours * 3_600))
    case 14: action = .powerCut(server: own, .kept)
    default: action = .host(Int(name.dropFirst()) ?? 0, random.pick(HostManners.bad) ?? .good)
    }
    switch kind {
    case 0...3, 14: return .init(at: at, lasting: down, action: action)
    case 13: return .init(at: at, lasting: .seconds(3_600 + below(200_000)), action: action)
    default: return .init(at: at, lasting: lasting, action: action)
    }
  }
}
