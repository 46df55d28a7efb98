import Outside

/// The domain name system as a script: zones, and what is wrong with them just now.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class SimulatedNames: @unchecked Sendable {
  /// What a domain's mail hosts are.
  enum Zone: Equatable {
    case hosts([(preference: UInt16, name: String)])
    /// No MX records, an address of its own.
    case implicit
    case null
    case loop
    case bogus
    case missing
    /// 500 MX records, of which the named one is the best.
    case many(String)
    /// A name behind an alias.
    case alias(of: String)

    static func == (left: Self, right: Self) -> Bool { "\(left)" == "\(right)" }
  }

  private let executor: SimulatedExecutor
  private let random: SeededRandom
  private let counts: FaultCounts
  private let digest: EventDigest
  var zones: [String: Zone] = [:]
  var addresses: [String: IPAddress] = [:]
  /// Domains whose servers answer SERVFAIL, or not at all.
  var failing: Set<String> = []
  var silent: Set<String> = []

  init(executor: SimulatedExecutor, seed: UInt64, counts: FaultCounts, digest: EventDigest) {
    self.executor = executor
    self.random = SeededRandom(seed: seed)
    self.counts = counts
    self.digest = digest
  }

  func answer(_ question: DNSQuestion) async -> DNSAnswer {
    let now = executor.clock.monotonic()
    let zone = zoneName(of: question.name)
    if silent.contains(zone) {
      counts.note(.silentNames)
      await executor.sleep(until: now.advanced(by: .seconds(10)))
      return DNSAnswer(status: .failure("no answer in time"), canonicalName: question.name)
    }
    await executor.sleep(until: now.advanced(by: .milliseconds(Int64(clamping: 5 + random.next(below: 80)))))
    digest.add("dns \(question.name) \(question.type.rawValue)")
    if failing.contains(zone) {
      counts.note(.failingNames)
      return DNSAnswer(status: .failure("SERVFAIL"), canonicalName: question.name)
    }
    guard question.type == .mx else { return address(question) }
    return exchangers(question)
  }

  /// The domain that a host's name belongs to: its last two labels.
  private func zoneName(of name: String) -> String { name.split(separator: ".").suffix(2).joined(separator: ".") }

  private func address(_ question: DNSQuestion) -> DNSAnswer {
    guard let address = addresses[question.name] else {
      let exists = zones[question.name] != nil
      return DNSAnswer(status: exists ? .success : .noSuchName, canonicalName: question.name, timeToLive: 300)
    }
    let fits = question.type == (address.isIPv4 ? .a : .aaaa)
    return DNSAnswer(status: .success, canonicalName: question.name, records: fits ? [address.bytes] : [], timeToLive: 300)
  }

  private func exchangers(_ question: DNSQuestion) -> DNSAnswer {
    var answer = DNSAnswer(status: .success, canonicalName: question.name, timeToLive: 300)
    switch zones[question.name] {
    case .hosts(let hosts): answer.records = hosts.map { Self.record($0.preference, $0.name) }
    case .implicit: break
    case .null:
      counts.note(.nullMX)
      answer.records = [[0, 0, 0]]
    case .loop:
      counts.note(.aliasLoop)
      answer.status = .failure("CNAME loop")
    case .bogus:
      counts.note(.bogusNames)
      answer.status = .failure("validation failed")
      answer.security = .bogus
    case .many(let best):
      counts.note(.manyExchangers)
      answer.records = [Self.record(5, best)] + (0..<499).map { Self.record(10, "mx\($0).nowhere.sim") }
    case .alias(let name):
      answer.canonicalName = name
      guard case .hosts(let hosts)? = zones[name] else { break }
      answer.records = hosts.map { Self.record($0.preference, $0.name) }
    case .missing, nil:
      counts.note(.missingName)
      answer.status = .noSuchName
    }
    return answer
  }

  private static func record(_ preference: UInt16, _ name: String) -> [UInt8] {
    var data = [UInt8(preference >> 8), UInt8(preference & 255)]
    for label in name.split(separator: ".") { data += [UInt8(clamping: label.utf8.count)] + Array(label.utf8) }
    return data + [0]
  }
}

/// Asks the script, as long as the process that asks lives.
struct SimulatedResolver: Resolver {
  let names: SimulatedNames

  func resolve(_ question: DNSQuestion) async -> DNSAnswer { await names.answer(question) }
}
