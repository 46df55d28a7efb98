import Bytes
import InternetMessage
import MailModel
import Outside
import Routing

/// From a job to the pool that carries it.
extension Scheduler {
  func dispatch(_ job: Job, isFresh: Bool) {
    if job.group == Self.localDestination {
      let confined = Confined(job, services)
      services.spawn { [self] in await deliverLocally(confined.value) }
      return
    }
    if job.group == Self.confirmationDestination { return confirm(job) }
    let now = services.clock.monotonic()
    if let decision = routes.decision(for: job.group, at: now) { return follow(decision, job, isFresh: isFresh) }
    if unrouted[job.group] != nil {
      unrouted[job.group]?.append(job)
      return
    }
    let group = job.group
    unrouted[group] = [job]
    services.spawn { [self] in
      let decision = await services.router.route(group)
      routes.keep(decision, for: group, at: services.clock.monotonic(), limit: settings.limits.destinations)
      let waiting = unrouted.removeValue(forKey: group) ?? []
      for job in waiting { follow(decision, job, isFresh: isFresh) }
      await recorder.flush()
    }
  }

  private func follow(_ decision: RouteDecision, _ job: Job, isFresh: Bool) {
    switch decision {
    case .route(var route):
      job.routeDetails = Self.details(route.evidence)
      if job.message.envelope.requiresTLS {
        // RFC 8689, 4.2.1: the host's name must be sure, and its certificate show it.
        guard
          route.evidence.source.hasPrefix("route ") || route.evidence.source.hasPrefix("rerouted ")
            || route.evidence.security == .secure
        else {
          return refuse(
            job, DeliveryProblem("550 5.7.30 The sender requires TLS, and the domain's MX records are not signed (REQUIRETLS)"))
        }
        route.tls = .verified
        route.key += "#verified \(route.hostNames)"
      }
      let pool = pool(for: route, job)
      if groupPools[job.group] !== pool {
        if groupPools.count >= max(settings.limits.destinations, 1) { groupPools = [:] }
        groupPools[job.group] = pool
      }
      enqueue(job, pool, isFresh: isFresh)
    case .transient(let reason, let evidence):
      job.routeDetails = Self.details(evidence)
      postpone(job, DeliveryProblem(reason))
    case .permanent(let reason, let evidence):
      job.routeDetails = Self.details(evidence)
      refuse(job, DeliveryProblem(reason))
    }
  }

  static func details(_ evidence: RouteEvidence) -> [TraceEvent.Detail] {
    var result: [TraceEvent.Detail] = [.init("route", evidence.source)]
    if !evidence.records.isEmpty {
      result.append(.init("dns", evidence.records.joined(separator: "; ")))
      result.append(.init("dnssec", "\(evidence.security)"))
      result.append(.init("ttl", "\(evidence.timeToLive)"))
    }
    return result
  }

  /// What is to carry the job: a pool for all that goes to the same machines, under the same rule, from the same place.
  private func pool(for route: Route, _ job: Job) -> DestinationPool {
    let now = services.clock.monotonic()
    var route = route
    route.source = source(of: job.message.envelope.reversePath, by: route)
    if let source = route.source { route.key += "#from \(source.addresses) \(source.helo ?? "")" }
    let budget = budgets.budget(for: job.group, route)
    if let budget { route.key += "#as \(budgets.generation) \(budget.name)" }
    if let found = pools[route.key] {
      found.route = route
      found.lastUsed = now
      return found
    }
    if pools.count >= settings.limits.destinations { forgetPools() }
    let made = DestinationPool(key: route.key, route: route, budget: budget, limits: settings.limits, now: now)
    pools[route.key] = made
    poolOrder.append(made)
    return made
  }

  /// Where a message comes from: what its route says, else its sender's domain, else what holds for all. Notifications (the null path) are
  /// this host's own.
  private func source(of sender: EmailAddress?, by route: Route) -> ConnectionSource? {
    if let own = route.source { return own }
    if !settings.senderSources.isEmpty, let sender, let domain = DomainName.normalized(sender.domain),
      let found = senderSources.value(for: domain)
    {
      return found
    }
    return settings.source.isDefault ? nil : settings.source
  }

  /// Forgets pools that carry nothing, the longest unused half of them.
  private func forgetPools() {
    let unused = poolOrder.filter(\.isUnused).sorted { ($0.lastUsed, $0.key) < ($1.lastUsed, $1.key) }
    for pool in unused.prefix(max(unused.count / 2, 1)) { pools[pool.key] = nil }
    poolOrder.removeAll { pools[$0.key] == nil }
    groupPools = groupPools.filter { pools[$0.value.key] === $0.value }
  }

  private func enqueue(_ job: Job, _ pool: DestinationPool, isFresh: Bool) {
    pool.lastGroup = job.group
    // A destination that failed last may not fill the memory with what was claimed for it.
    let limits = settings.limits
    let isFlowing = pool.standing == .proven
    let limit = isFlowing ? limits.jobsPerFlowingDestination : limits.jobsPerDestination
    // One that takes mail has room again soon; who comes late must not wait for long after the rest is gone.
    // Nor may many that take nothing fill it together, so that one that does has no place: half of it is theirs, in equal shares.
    let isCrowded = !isFlowing && jobs >= limits.jobs / 2
    let share = isCrowded ? max(limits.jobs / 2 / max(poolOrder.count, 1), 1) : limit
    guard pool.count < min(limit, pool.isSuspect && !isFresh ? 20 : limit, share) else {
      return giveBack(job, after: isFlowing ? .seconds(1) : .seconds(60))
    }
    // What can't go within a minute by its rate waits in the queue, untried. Half of the room is for those that come back from there.
    if let budget = pool.budget, pool.count >= (isFresh ? max(budget.room / 2, 1) : budget.room) {
      return giveBack(job, at: budget.slot(now: services.clock.schedule()))
    }
    pool.append(job)
    serve(pool)
  }

  /// Hosts by preference, equals in random order each time (RFC 5321, 5.1).
  func inRandomOrder(_ hosts: [Route.Host]) -> [Route.Host] {
    guard hosts.count > 1 else { return hosts }
    let ranked = hosts.map { (host: $0, rank: services.random.next()) }
    return ranked.sorted { ($0.host.preference, $0.rank, $0.host.name) < ($1.host.preference, $1.rank, $1.host.name) }.map(\.host)
  }

  func rememberNoChunking(_ host: Route.Host) {
    let now = services.clock.monotonic()
    noChunking.mark(host.name, until: now.advanced(by: .seconds(86_400)), now: now)
  }
}

/// Connections by what was known of their destinations when they were begun.
struct ConnectionCounts {
  var proven = 0
  var unknown = 0
  var suspect = 0

  var all: Int { proven + unknown + suspect }

  mutating func add(_ count: Int, _ standing: DestinationPool.Standing) {
    switch standing {
    case .proven: proven += count
    case .unknown: unknown += count
    case .suspect: suspect += count
    }
  }
}

/// Decisions kept for their records' time to live. Bounded.
struct RouteCache {
  private var decisions: [String: (decision: RouteDecision, until: MonotonicInstant)] = [:]

  func decision(for group: String, at now: MonotonicInstant) -> RouteDecision? {
    guard let found = decisions[group], now < found.until else { return nil }
    return found.decision
  }

  mutating func keep(_ decision: RouteDecision, for group: String, at now: MonotonicInstant, limit: Int) {
    if decisions.count >= max(limit, 1) {
      decisions = decisions.filter { $0.value.until > now }
      if decisions.count >= max(limit, 1) { decisions = [:] }
    }
    let seconds: UInt32
    switch decision {
    case .route(let route): seconds = route.evidence.timeToLive
    // Failures are the resolver's to remember; this only spares a burst of messages to one domain.
    case .transient, .permanent: seconds = 5
    }
    decisions[group] = (decision, now.advanced(by: .seconds(Int64(seconds))))
  }

  mutating func removeAll() { decisions = [:] }
}
