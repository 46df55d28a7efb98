import MailModel
import Outside
import Routing

/// Who gets a connection: by what the host, the destination's rule and the stock of connections allow.
extension Scheduler {
  /// Sees to it that what waits in `pool` is carried: by an idle connection, or another one if that helps and may be.
  func serve(_ pool: DestinationPool) {
    confine()
    let now = services.clock.monotonic()
    guard !isStopping, pool.count > 0 else { return }
    if let budget = pool.budget, !budget.mayStart(at: now) { return wait(pool, for: budget, until: budget.nextStart ?? now) }
    if pool.wakeIdle() { return }
    guard pool.wantsWorker(at: now) else { return }
    let place: HostPlace
    switch hosts.access(to: hostsToTry(of: pool.route), at: now) {
    case .open(let free): place = free
    case .full(let gates):
      if pool.workers == 0, gates.contains(where: \.isCrowded) {
        for job in pool.takeAll() { giveBack(job, after: .seconds(60)) }
        return
      }
      for gate in gates {
        gate.wait(pool)
        gate.dismissIdle(for: pool)
      }
      return
    case .closed(let problem):
      // Its other connections may yet work.
      guard pool.workers == 0, let problem else { return }
      return sendBack(pool, problem)
    }
    if let budget = pool.budget, !budget.mayConnect(at: now) { return wait(pool, for: budget, until: budget.nextDial) }
    guard mayConnect(pool) else { return waitForStock(pool) }
    beginWorker(pool, at: place, now)
  }

  /// What waits there goes back to the queue with the reason, untried.
  private func sendBack(_ pool: DestinationPool, _ problem: DeliveryProblem) {
    for job in pool.takeAll() { postpone(job, problem, isSkipped: true) }
  }

  /// Hosts as one attempt tries them.
  func hostsToTry(of route: Route) -> ArraySlice<Route.Host> {
    inRandomOrder(route.hosts).prefix(max(settings.limits.hostsPerAttempt, 1))
  }

  /// All connections share one stock. Of it a quarter is kept for destinations that take mail, and a quarter for those that have not
  /// shown it, so that neither waits long for the other.
  private func mayConnect(_ pool: DestinationPool) -> Bool {
    let limit = max(settings.limits.connections, 1)
    guard connections.all < limit else { return false }
    let unproven = connections.unknown + connections.suspect
    let share = limit - limit / 4
    switch pool.standing {
    case .proven: return connections.proven + max(unproven, limit / 4) < limit
    // When a quarter are in use, each gets one.
    case .unknown: return unproven < share && (pool.workers == 0 || unproven * 4 < share)
    case .suspect: return unproven < share && connections.suspect * 100 < share * settings.limits.suspectShare
    }
  }

  private func waitForStock(_ pool: DestinationPool) {
    if !pool.isWaiting {
      pool.isWaiting = true
      waitingPools.append(pool)
    }
    // A connection that rests elsewhere gives way.
    guard resting > 0 else { return }
    for other in poolOrder where other !== pool && other.idleCount > 0 && other.count == 0 {
      other.dismissIdle()
      break
    }
  }

  /// The pool is served again at `time`, or when a connection of its rule ends.
  private func wait(_ pool: DestinationPool, for budget: DestinationBudget, until time: MonotonicInstant?) {
    budget.wait(pool)
    let now = services.clock.monotonic()
    guard let time, time > now, budget.wakesAt.map({ time < $0 }) ?? true else { return }
    budget.wakesAt = time
    let confined = Confined(budget, services)
    services.spawn { [self] in
      await services.sleeper.sleep(until: time)
      let budget = confined.value
      guard budget.wakesAt == time else { return }
      budget.wakesAt = nil
      for pool in budget.takeWaiting() { serve(pool) }
    }
  }

  private func beginWorker(_ pool: DestinationPool, at place: HostPlace, _ now: MonotonicInstant) {
    let standing = pool.standing
    connections.add(1, standing)
    pool.workerBegan()
    pool.budget?.connected(at: now)
    place.enter(at: now)
    let worker = Worker(pool: pool, scheduler: self, standing: standing, place: place)
    workers[ObjectIdentifier(worker)] = worker
    services.spawn { await worker.run() }
  }

  func workerEnded(_ worker: Worker, _ pool: DestinationPool, _ standing: DestinationPool.Standing) {
    confine()
    workers[ObjectIdentifier(worker)] = nil
    connections.add(-1, standing)
    pool.workerEnded(wasEstablished: worker.isEstablished)
    if let place = worker.place { left(place, wasEstablished: worker.isEstablished) }
    if let budget = pool.budget {
      budget.disconnected()
      for next in budget.takeWaiting() { serve(next) }
    }
    serve(pool)
    // Whoever waits longest comes next; those that still may not stay in line.
    let waiting = waitingPools
    waitingPools = []
    for next in waiting {
      next.isWaiting = false
      serve(next)
    }
    if jobs < settings.limits.jobs / 2, claimsAgain { claim() }
  }

  /// A place at a host is free: those that wait for one come first.
  func left(_ place: HostPlace, wasEstablished: Bool) {
    place.leave(wasEstablished: wasEstablished)
    serveWaiting(at: place)
  }

  /// Serves those that wait at a host, as far as there is room.
  func serveWaiting(at place: HostPlace) {
    for gate in [place.address, place.name] {
      var waiting = gate.takeWaiting()[...]
      while let next = waiting.first {
        if case .full = gate.access(at: services.clock.monotonic()) { break }
        waiting = waiting.dropFirst()
        serve(next)
      }
      gate.wait(waiting)
    }
  }
}
