import Outside
import Routing
import SMTP

/// Finds a host of a route that answers, and speaks with it until it takes messages.
struct Opening {
  let pool: DestinationPool
  let scheduler: Scheduler
  let job: Job

  /// Tries hosts in order of preference, their addresses in turn, those that failed lately last, within the limits of an attempt.
  func run() async -> Result<Transport, FailedAttempt> {
    var problems: [DeliveryProblem] = []
    for (host, endpoint) in candidates() {
      var isClear = false
      // At most twice: the second time in clear, when TLS was opportunistic and its handshake failed.
      for _ in 0..<2 {
        guard !scheduler.isStopping else { break }
        switch await open(host, endpoint, inClear: isClear) {
        case .opened(let transport): return .success(transport)
        case .failed(let problem):
          problems.append(problem)
        case .handshakeFailed(let problem):
          problems.append(problem)
          guard !isClear, pool.route.tls == .opportunistic, !pool.route.isImplicitTLS else { break }
          isClear = true
          continue
        }
        break
      }
    }
    return .failure(FailedAttempt(problems: problems))
  }

  /// Every host failed.
  struct FailedAttempt: Error {
    var problems: [DeliveryProblem]

    /// The best host's failure last seen, with what the others said.
    var problem: DeliveryProblem {
      guard var result = problems.last else { return DeliveryProblem("451 4.4.1 No host could be tried") }
      let others = problems.dropLast().suffix(4).map {
        "\($0.host ?? "") [\($0.address ?? "")]: \($0.reply.map { "\($0)" } ?? $0.reason)"
      }
      if result.reply == nil, !others.isEmpty { result.reason += "; before: " + others.joined(separator: "; ") }
      return result
    }
  }

  private enum Attempt {
    case opened(Transport)
    case failed(DeliveryProblem)
    case handshakeFailed(DeliveryProblem)
  }

  private func candidates() -> [(Route.Host, Endpoint)] {
    let now = scheduler.services.clock.monotonic()
    let limits = scheduler.settings.limits
    var good: [(Route.Host, Endpoint)] = []
    var doubtful: [(Route.Host, Endpoint)] = []
    for host in scheduler.inRandomOrder(pool.route.hosts).prefix(max(limits.hostsPerAttempt, 1)) {
      for endpoint in host.endpoints {
        if scheduler.unreachable.isMarked("\(endpoint)", at: now) {
          doubtful.append((host, endpoint))
        } else {
          good.append((host, endpoint))
        }
      }
    }
    return Array((good + doubtful).prefix(max(limits.addressesPerAttempt, 1)))
  }

  /// The address to come from: the one of the same family.
  private func source(for endpoint: Endpoint) -> IPAddress? {
    guard case .ip(let remote, _) = endpoint else { return nil }
    return scheduler.settings.sources.first { $0.isIPv4 == remote.isIPv4 }
  }

  private func open(_ host: Route.Host, _ endpoint: Endpoint, inClear: Bool) async -> Attempt {
    let services = scheduler.services
    let times = scheduler.settings.times
    let now = services.clock.monotonic()
    let connection: Connection
    switch await services.dialer.connect(to: endpoint, from: source(for: endpoint), until: now.advanced(by: times.connect)) {
    case .success(let made): connection = made
    case .failure(let error):
      scheduler.unreachable.mark("\(endpoint)", until: services.clock.monotonic().advanced(by: .seconds(60)), now: now)
      var problem = DeliveryProblem("451 4.4.1 Connecting to \(host.name) [\(endpoint)] failed: \(Self.text(error))")
      problem.host = host.name
      problem.address = "\(endpoint)"
      problem.stage = .connect
      return .failed(problem)
    }
    scheduler.unreachable.clear("\(endpoint)")
    let settings = clientSettings(host, inClear: inClear, at: now)
    let transport = Transport(
      connection: connection, host: host, endpoint: endpoint, settings: settings, tls: tlsRequest(host), times: times,
      clock: services.clock, recorder: scheduler.recorder)
    switch await transport.advance() {
    case .ready: return .opened(transport)
    case .ended(let failure):
      let problem = DeliveryProblem(
        failure ?? SMTPClientFailure(stage: .greeting, reason: "451 4.4.2 connection closed by the host"), host: host.name,
        endpoint: endpoint)
      if failure?.stage == .handshake {
        let now = services.clock.monotonic()
        scheduler.brokenTLS.mark(host.name, until: now.advanced(by: times.tlsFailure), now: now)
        return .handshakeFailed(problem)
      }
      return .failed(problem)
    case .completed, .sendBody, .mayStart:
      connection.abort()
      return .failed(DeliveryProblem("451 4.3.5 The conversation began with a message"))
    }
  }

  private func clientSettings(_ host: Route.Host, inClear: Bool, at now: MonotonicInstant) -> SMTPClientSettings {
    let route = pool.route
    let tls: SMTPClientSettings.TLS
    switch route.tls {
    case .none: tls = .none
    case .opportunistic:
      let avoids = inClear || scheduler.services.tls == nil || scheduler.brokenTLS.isMarked(host.name, at: now)
      tls = avoids ? .none : .opportunistic
    case .required, .verified: tls = .required
    }
    return SMTPClientSettings(
      hostname: scheduler.settings.hostname, dialect: route.dialect == .lmtp ? .lmtp : .smtp, tls: tls,
      isImplicitTLS: route.isImplicitTLS,
      credentials: route.credentials.map { .init(user: $0.user, password: $0.password) },
      allowsClearAuthentication: route.allowsClearAuthentication,
      usesChunking: scheduler.settings.usesChunking && !scheduler.noChunking.isMarked(host.name, at: now))
  }

  private func tlsRequest(_ host: Route.Host) -> TLSRequest? {
    guard let context = scheduler.services.tls else { return nil }
    // SNI holds names only (RFC 6066, 3).
    let isName = IPAddress(parsing: host.name.utf8) == nil && host.name.utf8.first != 0x2F
    return TLSRequest(
      role: .client(serverName: isName ? host.name : nil, verifyName: pool.route.tls == .verified ? host.name : nil),
      context: context)
  }

  private static func text(_ error: DialError) -> String {
    switch error {
    case .refused: "connection refused"
    case .timedOut: "no answer in time"
    case .unreachable(let why): "unreachable: \(why)"
    case .tooManyOpenFiles: "too many open files here"
    case .failed(let why): why
    }
  }
}
