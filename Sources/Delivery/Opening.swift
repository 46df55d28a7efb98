import Outside
import Routing
import SMTP

/// Finds a host of a route that answers, and speaks with it until it takes messages.
struct Opening {
  let pool: DestinationPool
  let scheduler: Scheduler
  /// Whose place at a host is used, and changed when another host is tried.
  let worker: Worker

  /// Tries the place that the worker has; then the others in order of preference, their addresses in turn, those that failed lately
  /// last, within the limits of an attempt.
  func run() async -> Result<Transport, FailedAttempt> {
    var problems: [DeliveryProblem] = []
    var tried: Set<Endpoint> = []
    let hosts = order()
    while !scheduler.isStopping, tried.count < max(scheduler.settings.limits.addressesPerAttempt, 1),
      moveOn(to: hosts, after: tried)
    {
      guard let place = worker.place else { break }
      tried.insert(place.endpoint)
      var isClear = false
      // At most twice: the second time in clear, when TLS was opportunistic and its handshake failed.
      for _ in 0..<2 {
        guard !scheduler.isStopping else { break }
        switch await open(place, inClear: isClear) {
        case .opened(let transport):
          worker.established()
          return .success(transport)
        case .failed(let problem, let word):
          problems.append(problem)
          if let word { place.note(word, at: scheduler.services.clock.monotonic()) }
        case .handshakeFailed(let problem):
          problems.append(problem)
          guard !isClear, pool.route.tls == .opportunistic, !pool.route.isImplicitTLS else {
            place.note(.failed(problem, wasEstablished: false), at: scheduler.services.clock.monotonic())
            break
          }
          isClear = true
          continue
        }
        break
      }
    }
    return .failure(FailedAttempt(problems: problems))
  }

  /// The hosts of this attempt, the worker's first.
  private func order() -> [Route.Host] {
    guard let first = worker.place?.host else { return [] }
    let others = scheduler.hostsToTry(of: pool.route).filter { $0.name != first.name }
    return Array(([first] + others).prefix(max(scheduler.settings.limits.hostsPerAttempt, 1)))
  }

  /// Takes a place at the next host to try; false if there is none. The first is the worker's already.
  private func moveOn(to hosts: some Sequence<Route.Host>, after tried: Set<Endpoint>) -> Bool {
    guard !tried.isEmpty else { return worker.place != nil }
    let now = scheduler.services.clock.monotonic()
    let next = scheduler.hosts.places(of: hosts, at: now).first { place in
      guard !tried.contains(place.endpoint), case .open = place.address.access(at: now) else { return false }
      // A place by the same name is the worker's own.
      if place.name === worker.place?.name { return true }
      if case .open = place.name.access(at: now) { return true }
      return false
    }
    guard let next else { return false }
    worker.move(to: next)
    return true
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
    /// And what it says of the host; nil: nothing.
    case failed(DeliveryProblem, HostPlace.Word?)
    case handshakeFailed(DeliveryProblem)
  }

  private func open(_ place: HostPlace, inClear: Bool) async -> Attempt {
    let services = scheduler.services
    let times = scheduler.settings.times
    let (host, endpoint) = (place.host, place.endpoint)
    let now = services.clock.monotonic()
    let source = pool.route.source?.address(for: endpoint)
    let connection: Connection
    switch await services.dialer.connect(to: endpoint, from: source, until: now.advanced(by: times.connect)) {
    case .success(let made): connection = made
    case .failure(let error):
      let from = source.map { " from \($0)" } ?? ""
      var problem = DeliveryProblem("451 4.4.1 Connecting to \(host.name) [\(endpoint)]\(from) failed: \(Self.text(error))")
      problem.host = host.name
      problem.address = "\(endpoint)"
      problem.stage = .connect
      return .failed(problem, .unreachable(problem))
    }
    let settings = clientSettings(host, inClear: inClear, at: now)
    let transport = Transport(
      connection: connection, place: place, source: source, helo: pool.route.source?.helo, settings: settings,
      tls: tlsRequest(host),
      times: times, clock: services.clock, recorder: scheduler.recorder)
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
      return .failed(problem, .failed(problem, wasEstablished: false))
    case .completed, .sendBody, .mayStart:
      connection.abort()
      return .failed(DeliveryProblem("451 4.3.5 The conversation began with a message"), nil)
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
      hostname: route.source?.helo ?? scheduler.settings.hostname, dialect: route.dialect == .lmtp ? .lmtp : .smtp, tls: tls,
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
