import Outside

/// Hosts by MX records (RFC 5321, 5.1).
extension RouteLookup {
  func mailExchangers(
    of domain: String, port: UInt16? = nil, allowsInternal: Bool? = nil, source: String = "mx"
  ) async -> RouteDecision {
    var evidence = RouteEvidence(source: source, security: .secure, timeToLive: settings.limits.longestTimeToLive)
    guard DomainName.isValid(domain.utf8) else {
      return .permanent(reason: "550 5.1.2 \(String.escaped(domain.utf8, limit: 80)) is no domain name", evidence)
    }
    let answer = await resolver.resolve(DNSQuestion(domain, .mx))
    if let failure = note(answer, of: domain, in: &evidence) { return failure }
    var exchangers = parsed(answer, in: &evidence)
    if exchangers.isEmpty {
      guard answer.records.isEmpty else {
        return .permanent(reason: "550 5.4.4 No MX record of \(domain) names a mail host", evidence)
      }
      // No MX records: the domain itself is the host (RFC 5321, 5.1).
      evidence.source = source == "mx" ? "implicit mx" : source
      exchangers = [MailExchanger(preference: 0, exchange: domain)]
    }
    return await hosts(exchangers, of: domain, port: port ?? settings.port, allowsInternal: allowsInternal, evidence: evidence)
  }

  /// Notes the answer; a decision if it ends the look-up.
  private func note(_ answer: DNSAnswer, of domain: String, in evidence: inout RouteEvidence) -> RouteDecision? {
    evidence.take(answer)
    if answer.security == .bogus {
      evidence.note("MX \(domain) bogus")
      return .transient(reason: "451 4.4.3 MX look-up of \(domain): DNSSEC validation failed", evidence)
    }
    switch answer.status {
    case .failure(let why):
      evidence.note("MX \(domain) failed: \(why)")
      return .transient(reason: "451 4.4.3 MX look-up of \(domain) failed: \(why)", evidence)
    case .noSuchName:
      evidence.note("MX \(domain) NXDOMAIN")
      return .permanent(reason: "550 5.1.2 Domain \(domain) does not exist", evidence)
    case .success: break
    }
    if answer.canonicalName != domain, !answer.canonicalName.isEmpty { evidence.note("CNAME \(domain) \(answer.canonicalName)") }
    if answer.records.count == 1, let only = answer.records.first.flatMap({ MailExchanger($0) }), only.isNull {
      evidence.note("MX \(domain) \(only.preference) .")
      // RFC 7505, 4.2.
      return .permanent(reason: "556 5.1.10 Domain \(domain) accepts no mail (null MX)", evidence)
    }
    return nil
  }

  /// The records that can be used, best first, equals in random order; each host once.
  private func parsed(_ answer: DNSAnswer, in evidence: inout RouteEvidence) -> [MailExchanger] {
    var result: [MailExchanger] = []
    for record in answer.records.prefix(settings.limits.mxRecords) {
      guard let exchanger = MailExchanger(record) else {
        evidence.note("MX with a name that no host has, ignored")
        continue
      }
      if !exchanger.isNull { result.append(exchanger) }
    }
    if answer.records.count > settings.limits.mxRecords || answer.truncated { evidence.note("more MX records, ignored") }
    let ordered = shuffled(result).enumerated().sorted {
      ($0.element.preference, $0.offset) < ($1.element.preference, $1.offset)
    }
    var seen: Set<String> = []
    return ordered.map(\.element).filter { seen.insert($0.exchange).inserted }
  }

  private func hosts(
    _ exchangers: [MailExchanger], of domain: String, port: UInt16, allowsInternal: Bool?, evidence: RouteEvidence
  ) async -> RouteDecision {
    var evidence = evidence
    for exchanger in exchangers.prefix(settings.limits.hosts) { evidence.note("MX \(exchanger.preference) \(exchanger.exchange)") }
    // Loop detection by name, before anything else is looked up.
    var usable = cut(exchangers, in: &evidence) { settings.ownNames.contains($0.exchange) }
    guard !usable.isEmpty else { return loop(domain, evidence) }
    usable = Array(usable.prefix(settings.limits.hosts))
    let found = await addresses(of: usable.map(\.exchange))
    for (exchanger, addresses) in zip(usable, found) { note(addresses, of: exchanger.exchange, in: &evidence) }
    let byName = Dictionary(zip(usable.map(\.exchange), found), uniquingKeysWith: { first, _ in first })
    // And by address and canonical name.
    let others = cut(usable, in: &evidence) { exchanger in
      guard let addresses = byName[exchanger.exchange] else { return false }
      return addresses.all.contains { settings.ownAddresses.contains($0) }
        || addresses.answers.contains { settings.ownNames.contains($0.canonicalName) }
    }
    guard !others.isEmpty else { return loop(domain, evidence) }
    return decide(
      others, byName, of: domain, port: port, allowsInternal: allowsInternal ?? settings.allowsInternalAddresses, evidence)
  }

  /// Takes away every host at or above the preference of the first that is this host (RFC 5321, 5.1).
  private func cut(
    _ exchangers: [MailExchanger], in evidence: inout RouteEvidence, where isOwn: (MailExchanger) -> Bool
  ) -> [MailExchanger] {
    guard let own = exchangers.filter(isOwn).min(by: { $0.preference < $1.preference }) else { return exchangers }
    evidence.note("\(own.exchange) is this host: preferences from \(own.preference) on are not used")
    return exchangers.filter { $0.preference < own.preference }
  }

  private func loop(_ domain: String, _ evidence: RouteEvidence) -> RouteDecision {
    .permanent(reason: "554 5.4.6 Mail for \(domain) loops back to this host", evidence)
  }

  private func addresses(of names: [String]) async -> [Addresses] {
    if names.count == 1, let only = names.first { return [await look(up: only)] }
    return await withTaskGroup(of: (Int, Addresses).self) { group in
      for (index, name) in names.enumerated() { group.addTask { (index, await look(up: name)) } }
      var result = [Addresses](repeating: Addresses(answers: []), count: names.count)
      for await (index, addresses) in group { result[index] = addresses }
      return result
    }
  }

  private func decide(
    _ exchangers: [MailExchanger], _ byName: [String: Addresses], of domain: String, port: UInt16, allowsInternal: Bool,
    _ evidence: RouteEvidence
  ) -> RouteDecision {
    var evidence = evidence
    var hosts: [Route.Host] = []
    var failure: String?
    var hasInternal = false
    for exchanger in exchangers {
      guard let addresses = byName[exchanger.exchange] else { continue }
      if let why = addresses.failure { failure = failure ?? "look-up of \(exchanger.exchange) failed: \(why)" }
      let allowed = addresses.all.filter { allowsInternal || $0.isPublic }
      if allowed.count < addresses.all.count {
        hasInternal = true
        evidence.note("\(exchanger.exchange) has internal addresses, not used")
      }
      guard !allowed.isEmpty else { continue }
      hosts.append(
        Route.Host(name: exchanger.exchange, preference: exchanger.preference, endpoints: endpoints(allowed, port: port)))
    }
    guard hosts.isEmpty else {
      return .route(Route(key: "mx:\(Self.key(of: hosts))", hosts: hosts, evidence: bounded(evidence)))
    }
    if let failure { return .transient(reason: "451 4.4.3 \(domain): \(failure)", evidence) }
    if hasInternal { return .permanent(reason: "550 5.4.4 The mail hosts of \(domain) have internal addresses only", evidence) }
    return .permanent(reason: "550 5.4.4 No mail host of \(domain) has an address", evidence)
  }

  /// The same machines share connections, whatever domain and name led to them: addresses, by rank of their preference.
  private static func key(of hosts: [Route.Host]) -> String {
    let preferences = Set(hosts.map(\.preference)).sorted()
    return preferences.map { preference in
      let endpoints = hosts.filter { $0.preference == preference }.flatMap { $0.endpoints.map { "\($0)" } }
      return Set(endpoints).sorted().joined(separator: ",")
    }.joined(separator: ";")
  }
}
