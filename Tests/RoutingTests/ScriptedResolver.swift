import Outside
import Synchronization

@testable import Routing

/// Answers from a script; what is not in it does not exist.
final class ScriptedResolver: Resolver {
  private let answers: [DNSQuestion: DNSAnswer]
  private let asked = Mutex<[DNSQuestion]>([])

  /// The names that were asked for, in order.
  var questions: [DNSQuestion] { asked.withLock { $0 } }

  init(_ zone: [(String, DNSRecordType, DNSAnswer)]) {
    var answers: [DNSQuestion: DNSAnswer] = [:]
    for (name, type, answer) in zone { answers[DNSQuestion(name, type)] = answer }
    self.answers = answers
  }

  func resolve(_ question: DNSQuestion) async -> DNSAnswer {
    asked.withLock { $0.append(question) }
    if let answer = answers[question] { return answer }
    let exists = answers.keys.contains { $0.name == question.name }
    return DNSAnswer(status: exists ? .success : .noSuchName, canonicalName: question.name, timeToLive: 300)
  }
}

extension DNSAnswer {
  static func mx(_ records: [(UInt16, String)], security: Security = .insecure, ttl: UInt32 = 600) -> DNSAnswer {
    DNSAnswer(
      status: .success, security: security, canonicalName: "", records: records.map { mxData($0.0, $0.1) }, timeToLive: ttl)
  }

  static func addresses(_ texts: [String], canonicalName: String = "", security: Security = .insecure, ttl: UInt32 = 600)
    -> DNSAnswer
  {
    DNSAnswer(
      status: .success, security: security, canonicalName: canonicalName, records: texts.compactMap { IPAddress($0)?.bytes },
      timeToLive: ttl)
  }

  static let servfail = DNSAnswer(status: .failure("SERVFAIL"), canonicalName: "")
  static let bogus = DNSAnswer(status: .success, security: .bogus, canonicalName: "", records: [mxData(10, "evil.test")])

  static func mxData(_ preference: UInt16, _ name: String) -> [UInt8] {
    var data = [UInt8(preference >> 8), UInt8(preference & 255)]
    for label in name.split(separator: ".") { data += [UInt8(label.utf8.count)] + Array(label.utf8) }
    return data + [0]
  }
}

/// A seeded source, for orders that replay.
final class SeededRandom: RandomSource {
  private let state: Mutex<UInt64>

  init(_ seed: UInt64) { state = Mutex(seed) }

  func next() -> UInt64 {
    state.withLock { state in
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }
}

extension Router {
  convenience init(
    _ zone: [(String, DNSRecordType, DNSAnswer)], table: RouteTable = RouteTable(), ownAddresses: [String] = [],
    internal: Bool = false,
    seed: UInt64 = 1, limits: RoutingLimits = RoutingLimits()
  ) {
    self.init(
      settings: RouterSettings(
        hostname: "mx.own.test", ownNames: ["other.own.test"], ownAddresses: Set(ownAddresses.compactMap { IPAddress($0) }),
        table: table,
        allowsInternalAddresses: `internal`, limits: limits), resolver: ScriptedResolver(zone), random: SeededRandom(seed))
  }

  func hosts(of domain: String) async -> [String] {
    if case .route(let route) = await route(domain) { return route.hosts.map(\.name) }
    return []
  }

  func permanent(_ domain: String) async -> String? {
    if case .permanent(let reason, _) = await route(domain) { return String(reason.prefix(10)).trimmingSuffix }
    return nil
  }

  func transient(_ domain: String) async -> String? {
    if case .transient(let reason, _) = await route(domain) { return reason }
    return nil
  }
}

extension String {
  /// The two codes at the beginning of a reason.
  var trimmingSuffix: String { split(separator: " ").prefix(2).joined(separator: " ") }
}
