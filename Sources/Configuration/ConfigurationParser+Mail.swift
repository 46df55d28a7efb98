import Bytes
import Outside

/// The sections that say how mail comes, waits and leaves.
extension Configuration {
  static func readListeners(_ sections: [SectionReader], hasTLS: Bool) -> [Listener] {
    var listeners: [Listener] = []
    for section in sections {
      var section = section
      let service = readService(&section)
      let address = readListenAddress(&section)
      let standard: Listener.Security
      if case .unix = address { standard = .none } else { standard = hasTLS ? .starttls : .none }
      let security = section.choice("tls", default: standard)
      if security != .none, !hasTLS {
        section.problem("tls", "\"\(security.rawValue)\" needs a section [tls] with certificate and key")
      }
      section.finish()
      guard let service, let address else { continue }
      // RFC 2033, 5: LMTP is not for port 25.
      if service == .lmtp, case .ip(_, port: 25) = address {
        section.problem("address", "expected another port: LMTP must not be on port 25")
      }
      if listeners.contains(where: { $0.address == address && !Self.letsSystemChoose(address) }) {
        section.problem("address", "expected each address once; another listener has it")
      }
      listeners.append(Listener(service: service, address: address, security: security, line: section.line))
    }
    return listeners
  }

  private static func letsSystemChoose(_ endpoint: Endpoint) -> Bool {
    if case .ip(_, port: 0) = endpoint { return true }
    return false
  }

  private static func readService(_ section: inout SectionReader) -> Listener.Service? {
    guard let text = section.requiredString("protocol", "\"smtp\" or \"lmtp\"") else { return nil }
    if let service = Listener.Service(rawValue: text) { return service }
    if Listener.laterServices.contains(text) {
      section.problem("protocol", "\"\(text)\" is not in this release; expected \"smtp\" or \"lmtp\"")
    } else {
      section.problem("protocol", "expected \"smtp\" or \"lmtp\", not \"\(String.escaped(text.utf8, limit: 100))\"")
    }
    return nil
  }

  private static func readListenAddress(_ section: inout SectionReader) -> Endpoint? {
    guard let text = section.requiredString("address", "\"host:port\", \"[v6]:port\" or \"unix:/path\"") else { return nil }
    if let endpoint = HostAndPort.listenEndpoint(text) { return endpoint }
    section.problem(
      "address",
      "expected \"host:port\" with an IP address of this host (\"0.0.0.0:25\" for all), \"[v6]:port\" or \"unix:/path\", not \"\(String.escaped(text.utf8, limit: 100))\""
    )
    return nil
  }

  static func readRoutes(_ sections: [SectionReader]) -> [Route] {
    var routes: [Route] = []
    for section in sections {
      var section = section
      let pattern = readPattern(&section)
      let nextHop = readNextHop(&section)
      let usesMX = section.boolean("mx", default: false)
      let policy = section.choice("tls", default: nextHop?.scheme == .smtps ? TLSPolicy.verified : .opportunistic)
      let credentials = readCredentials(&section)
      let source = readSource(&section)
      if case .unix = nextHop?.place, !source.addresses.isEmpty {
        section.problem("source-addresses", "expected none for a Unix socket")
      }
      switch nextHop?.place {
      case .address where usesMX, .unix where usesMX:
        section.problem("mx", "expected false: MX is looked up for a name, and \"next-hop\" has none")
      default: break
      }
      if nextHop?.scheme == .smtps, policy == .none || policy == .opportunistic {
        section.problem("tls", "expected \"required\" or \"verified\": smtps is encrypted always")
      }
      if case .unix = nextHop?.place, policy == .required || policy == .verified {
        section.problem("tls", "expected \"none\" or \"opportunistic\" for a Unix socket")
      }
      section.finish()
      guard let pattern, let nextHop else { continue }
      if routes.contains(where: { $0.pattern == pattern }) {
        section.problem("domain", "expected each domain once; another route has it")
      }
      routes.append(
        Route(
          pattern: pattern, nextHop: nextHop, usesMX: usesMX, tls: policy, credentials: credentials, source: source,
          line: section.line))
    }
    return routes
  }

  static func readPattern(_ section: inout SectionReader) -> Route.Pattern? {
    guard let text = section.requiredString("domain", "\"example.net\", \".example.net\" or \"*\"")?.asciiLowercased else {
      return nil
    }
    if text == "*" { return .any }
    if text.hasPrefix("."), HostAndPort.isDomainName(String(text.dropFirst())) { return .suffix(String(text.dropFirst())) }
    if HostAndPort.isDomainName(text) { return .domain(text) }
    section.problem(
      "domain", "expected \"example.net\", \".example.net\" or \"*\", not \"\(String.escaped(text.utf8, limit: 100))\"")
    return nil
  }

  private static func readNextHop(_ section: inout SectionReader) -> NextHop? {
    guard let text = section.requiredString("next-hop", "like \"smtp://192.0.2.1:25\"") else { return nil }
    if let nextHop = NextHop(text) { return nextHop }
    section.problem(
      "next-hop",
      "expected \"smtp://host:port\", \"smtps://host:port\", \"lmtp://host:port\" or \"lmtp+unix:///path\", not \"\(String.escaped(text.utf8, limit: 100))\""
    )
    return nil
  }

  private static func readCredentials(_ section: inout SectionReader) -> Route.Credentials? {
    let user = section.string("user", default: "")
    let file = section.path("password-file", default: "")
    if user.isEmpty, file.isEmpty { return nil }
    if user.isEmpty { section.problem("user", "is required beside \"password-file\"") }
    if file.isEmpty { section.problem("password-file", "is required beside \"user\"") }
    return Route.Credentials(user: user, passwordFile: file)
  }

  static func readQueue(_ section: SectionReader) -> Queue {
    var section = section
    var queue = Queue()
    queue.firstRetry = section.duration("first-retry", default: queue.firstRetry)
    queue.maximumRetry = section.duration("maximum-retry", default: queue.maximumRetry)
    queue.lifetime = section.duration("lifetime", default: queue.lifetime)
    queue.delayNotice = section.duration("delay-notice", default: queue.delayNotice, zeroIsAllowed: true)
    queue.softBounces = section.boolean("soft-bounce", default: queue.softBounces)
    if queue.maximumRetry < queue.firstRetry {
      let key = section.sets("maximum-retry") ? "maximum-retry" : "first-retry"
      section.problem(
        key,
        "expected \"maximum-retry\" (\(queue.maximumRetry.configurationText)) to be at least \"first-retry\" (\(queue.firstRetry.configurationText))"
      )
    }
    section.finish()
    return queue
  }

  static func readDelivery(_ section: SectionReader) -> Delivery {
    var section = section
    var delivery = Delivery()
    delivery.concurrency = section.integer("concurrency", default: delivery.concurrency, in: 1...10_000)
    delivery.connectionsPerDestination = section.integer(
      "connections-per-destination", default: delivery.connectionsPerDestination, in: 1...1_000)
    delivery.recipientsPerTransaction = section.integer(
      "recipients-per-transaction", default: delivery.recipientsPerTransaction, in: 1...1_000)
    delivery.messagesPerConnection = section.integer(
      "messages-per-connection", default: delivery.messagesPerConnection, in: 1...100_000)
    delivery.connectTimeout = section.duration("connect-timeout", default: delivery.connectTimeout)
    delivery.idleTimeout = section.duration("idle-timeout", default: delivery.idleTimeout, zeroIsAllowed: true)
    delivery.tlsFailureMemory = section.duration("tls-failure-memory", default: delivery.tlsFailureMemory, zeroIsAllowed: true)
    delivery.source = readSource(&section)
    delivery.allowsInternalAddresses = section.boolean("internal-addresses", default: delivery.allowsInternalAddresses)
    section.finish()
    return delivery
  }

  static func readLimits(_ section: SectionReader) -> Limits {
    var section = section
    var limits = Limits()
    func count(_ key: String, _ standard: Int) -> Int {
      section.integer(key, default: standard, in: 1...1_000_000_000, zeroIsUnlimited: true)
    }
    limits.messageSize = section.size("message-size", default: limits.messageSize, atLeast: 1_024)
    limits.recipients = count("recipients", limits.recipients)
    limits.connections = count("connections", limits.connections)
    limits.connectionsPerClient = count("connections-per-client", limits.connectionsPerClient)
    limits.messagesPerClientPerMinute = count("messages-per-client-per-minute", limits.messagesPerClientPerMinute)
    limits.messagesPerConnection = count("messages-per-connection", limits.messagesPerConnection)
    limits.hops = count("hops", limits.hops)
    limits.unknownRecipients = count("unknown-recipients", limits.unknownRecipients)
    limits.errors = count("errors", limits.errors)
    // RFC 5321, 4.5.3.1.4: 512 octets must fit.
    limits.commandLine = section.size("command-line", default: limits.commandLine, atLeast: 512)
    limits.discardedInput = section.size("discarded-input", default: limits.discardedInput)
    limits.commandTimeout = section.duration("command-timeout", default: limits.commandTimeout, zeroIsAllowed: true)
    limits.dataTimeout = section.duration("data-timeout", default: limits.dataTimeout, zeroIsAllowed: true)
    limits.sessionDuration = section.duration("session-duration", default: limits.sessionDuration, zeroIsAllowed: true)
    limits.minimumRate = section.size("minimum-rate", default: limits.minimumRate)
    limits.minimumRateGrace = section.duration("minimum-rate-grace", default: limits.minimumRateGrace, zeroIsAllowed: true)
    limits.headerSize = section.size("header-size", default: limits.headerSize, atLeast: 1_024)
    limits.headerFields = count("header-fields", limits.headerFields)
    limits.headerFieldSize = section.size("header-field-size", default: limits.headerFieldSize, atLeast: 1_000)
    limits.mimeDepth = count("mime-depth", limits.mimeDepth)
    limits.mimeParts = count("mime-parts", limits.mimeParts)
    section.finish()
    return limits
  }
}
