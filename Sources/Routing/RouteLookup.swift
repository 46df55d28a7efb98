import InternetMessage
import Outside

/// One look-up of one route, with the settings as they were when it began.
struct RouteLookup: Sendable {
  let settings: RouterSettings
  let resolver: any Resolver
  let random: any RandomSource

  /// A host's addresses as the DNS gave them.
  struct Addresses: Sendable {
    var answers: [DNSAnswer]

    /// Both families, IPv6 first, in the order of the answers.
    var all: [IPAddress] { answers.flatMap { $0.records.compactMap(IPAddress.init(bytes:)) } }

    var failure: String? {
      for answer in answers {
        if answer.security == .bogus { return "DNSSEC validation failed" }
        if case .failure(let why) = answer.status { return why }
      }
      return nil
    }

    var isMissing: Bool { answers.allSatisfy { $0.status == .noSuchName } }
  }

  // MARK: Explicit next hops

  func explicit(_ nextHop: NextHop, source: String) async -> RouteDecision {
    var evidence = RouteEvidence(source: source, security: .secure, timeToLive: settings.limits.longestTimeToLive)
    switch nextHop.target {
    case .unix(let path): return .route(route(nextHop, [Route.Host(name: path, endpoints: [.unix(path: path)])], evidence))
    case .address(let address):
      return .route(route(nextHop, [Route.Host(name: "\(address)", endpoints: [.ip(address, port: nextHop.port)])], evidence))
    case .host(let name):
      if nextHop.usesMX {
        switch await mailExchangers(of: name, port: nextHop.port, allowsInternal: true, source: source) {
        case .route(let found): return .route(route(nextHop, found.hosts, found.evidence))
        // The postmaster named the host: a mistake to be mended, not the sender's.
        case .permanent(let reason, let evidence):
          return .transient(reason: "451 4.4.4 Next hop \(nextHop.name): \(reason)", evidence)
        case .transient(let reason, let evidence): return .transient(reason: reason, evidence)
        }
      }
      let addresses = await addresses(of: name, noting: &evidence)
      let endpoints = endpoints(addresses.all, port: nextHop.port)
      guard !endpoints.isEmpty else {
        let why = addresses.failure ?? (addresses.isMissing ? "it does not exist" : "it has no address")
        return .transient(reason: "451 4.4.4 Next hop \(nextHop.name): look-up of \(name) failed: \(why)", evidence)
      }
      return .route(route(nextHop, [Route.Host(name: name, endpoints: endpoints)], evidence))
    }
  }

  private func route(_ nextHop: NextHop, _ hosts: [Route.Host], _ evidence: RouteEvidence) -> Route {
    Route(
      key: nextHop.name, hosts: hosts, dialect: nextHop.dialect, isImplicitTLS: nextHop.isImplicitTLS, tls: nextHop.tls,
      credentials: nextHop.credentials, allowsClearAuthentication: nextHop.allowsClearAuthentication, source: nextHop.source,
      evidence: bounded(evidence))
  }

  // MARK: Address literals

  /// `user@[192.0.2.1]` goes to that address (RFC 5321, 4.1.3).
  func literal(_ destination: String) -> RouteDecision {
    let evidence = RouteEvidence(source: "address literal", timeToLive: settings.limits.longestTimeToLive)
    guard let address = EmailAddress(localPart: "", domain: destination).literalAddress else {
      return .permanent(reason: "550 5.1.2 \(destination) is no IP address", evidence)
    }
    guard !settings.ownAddresses.contains(address) else {
      return .permanent(reason: "554 5.4.6 Mail for \(destination) loops back to this host", evidence)
    }
    guard settings.allowsInternalAddresses || address.isPublic else {
      return .permanent(reason: "550 5.4.4 \(destination) is not an address of the public internet", evidence)
    }
    let host = Route.Host(name: "\(address)", endpoints: [.ip(address, port: settings.port)])
    return .route(Route(key: destination, hosts: [host], evidence: evidence))
  }

  // MARK: Addresses

  /// A and AAAA of a host, noted as evidence.
  func addresses(of name: String, noting evidence: inout RouteEvidence) async -> Addresses {
    let addresses = await look(up: name)
    note(addresses, of: name, in: &evidence)
    return addresses
  }

  func look(up name: String) async -> Addresses {
    guard settings.usesIPv6 else { return Addresses(answers: [await resolver.resolve(DNSQuestion(name, .a))]) }
    async let six = resolver.resolve(DNSQuestion(name, .aaaa))
    async let four = resolver.resolve(DNSQuestion(name, .a))
    return await Addresses(answers: [six, four].map(Self.withoutBogus))
  }

  /// What fails validation is never used (HOSTILE 36).
  private static func withoutBogus(_ answer: DNSAnswer) -> DNSAnswer {
    guard answer.security == .bogus else { return answer }
    var answer = answer
    answer.records = []
    answer.status = .failure("DNSSEC validation failed")
    return answer
  }

  func note(_ addresses: Addresses, of name: String, in evidence: inout RouteEvidence) {
    for (index, answer) in addresses.answers.enumerated() {
      let type = settings.usesIPv6 && index == 0 ? "AAAA" : "A"
      if case .failure(let why) = answer.status {
        evidence.note("\(type) \(name) failed: \(why)")
        evidence.timeToLive = 0
        continue
      }
      guard !answer.records.isEmpty else { continue }
      evidence.take(answer)
      let alias = answer.canonicalName == name || answer.canonicalName.isEmpty ? "" : " (alias of \(answer.canonicalName))"
      let texts = answer.records.prefix(settings.limits.addressesPerHost).compactMap { IPAddress(bytes: $0).map { "\($0)" } }
      evidence.note("\(type) \(name)\(alias) \(texts.joined(separator: " "))")
    }
  }

  /// Random within a family, the families in turn with IPv6 first, so that a broken one delays little.
  func endpoints(_ addresses: [IPAddress], port: UInt16) -> [Endpoint] {
    var six = shuffled(addresses.filter { !$0.isIPv4 })[...]
    var four = shuffled(addresses.filter(\.isIPv4))[...]
    var result: [Endpoint] = []
    var seen: Set<IPAddress> = []
    while result.count < settings.limits.addressesPerHost {
      guard let next = result.count % 2 == 0 ? six.popFirst() ?? four.popFirst() : four.popFirst() ?? six.popFirst() else { break }
      if seen.insert(next).inserted { result.append(.ip(next, port: port)) }
    }
    return result
  }

  /// Every order equally likely (Fisher and Yates), from the seeded source.
  func shuffled<Element>(_ elements: [Element]) -> [Element] {
    var elements = elements
    var last = elements.count - 1
    while last > 0 {
      elements.swapAt(last, Int(truncatingIfNeeded: random.next(below: UInt64(last) + 1)))
      last -= 1
    }
    return elements
  }

  /// Evidence whose time to live is within the limits.
  func bounded(_ evidence: RouteEvidence) -> RouteEvidence {
    var evidence = evidence
    evidence.timeToLive = min(max(evidence.timeToLive, settings.limits.shortestTimeToLive), settings.limits.longestTimeToLive)
    return evidence
  }
}
