import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Routing
import SMTP

/// One connection's worth of delivery: takes jobs of its pool, connects, and stays while there is work. One task each.
///
/// `@unchecked Sendable` is true since one thread alone touches it: `Scheduler.beginWorker` makes it and runs its one task by
/// `DeliveryServices.spawn`; what it learns goes through `finished`, `hostFailed` and `workerEnded`, which check that they are on delivery's
/// loop (`Scheduler.confine`).
final class Worker: @unchecked Sendable {
  let pool: DestinationPool
  private let scheduler: Scheduler
  private var transport: Transport?
  /// Jobs given to the conversation and not completed, oldest first; at most two.
  private var underWay: [Job] = []
  private(set) var mustQuit = false
  /// Where it is, or tries to be.
  private(set) var place: HostPlace?
  /// Its host has greeted.
  private(set) var isEstablished = false

  /// What was known of the pool when this began.
  private let standing: DestinationPool.Standing

  /// - Parameter place: entered already; it is left at the end.
  init(pool: DestinationPool, scheduler: Scheduler, standing: DestinationPool.Standing, place: HostPlace) {
    self.pool = pool
    self.standing = standing
    self.scheduler = scheduler
    self.place = place
  }

  /// Gives up its place for one at another host.
  func move(to next: HostPlace) {
    let former = place
    place = next
    next.enter(at: scheduler.services.clock.monotonic())
    if let former { scheduler.left(former, wasEstablished: false) }
  }

  func established() {
    isEstablished = true
    place?.establish()
    pool.workerEstablished()
  }

  /// There is work, or the connection's place is wanted.
  func wake(quitting: Bool = false) {
    if quitting { mustQuit = true }
    transport?.connection.interrupt()
  }

  func run() async {
    if !mustQuit, !scheduler.isStopping, let job = pool.take(at: now) {
      pool.connects(for: job)
      let opened = await Opening(pool: pool, scheduler: scheduler, worker: self).run()
      pool.connected(for: job)
      switch opened {
      case .success(let transport):
        self.transport = transport
        // All its recipients may have been taken out of the queue meanwhile.
        if job.entries.isEmpty { scheduler.over(job) }
        await converse(transport, first: job.entries.isEmpty ? nil : job)
        self.transport = nil
      case .failure(let attempt): failed(attempt, job)
      }
    }
    await scheduler.recorder.flush()
    scheduler.workerEnded(self, pool, standing)
  }

  private func failed(_ attempt: Opening.FailedAttempt, _ job: Job) {
    if attempt.problems.isEmpty, scheduler.isStopping {
      // Not tried, since the server is stopping: back to the queue as it was.
      scheduler.giveBack(job, after: .zero)
    } else if pool.established > 0, !scheduler.isStopping {
      // The host bears no more connections than it has: those carry it.
      pool.putBack(job)
    } else {
      scheduler.hostFailed(pool, attempt.problem, job)
    }
  }

  private var now: MonotonicInstant { scheduler.services.clock.monotonic() }

  /// The server stops, and waits no longer: what is under way fails for a while, with that as the reason.
  func cut() { transport?.cut() }

  private func converse(_ transport: Transport, first: Job?) async {
    if let first { await start(first, transport) }
    while true {
      if transport.client.canStart, !isRetiring(transport), let next = pool.take(at: now) {
        await start(next, transport)
        continue
      }
      switch await transport.advance() {
      case .sendBody(let id, let framing): await sendBody(id, framing, transport)
      case .completed(let result): completed(result, transport)
      // If there is none, the replies are waited for.
      case .mayStart: continue
      case .ready:
        let isDone = transport.client.isExhausted || isRetiring(transport)
        let mayStay = isDone ? false : await rest(transport)
        if !mayStay { transport.quit() }
      case .ended(let failure): return ended(failure, transport)
      }
    }
  }

  private func isRetiring(_ transport: Transport) -> Bool {
    let most = pool.budget?.rule.messagesPerConnection ?? scheduler.settings.limits.messagesPerConnection
    return mustQuit || scheduler.isStopping || transport.client.started >= UInt64(clamping: max(most, 1))
  }

  /// Waits for another job; false when the connection is to be closed.
  private func rest(_ transport: Transport) async -> Bool {
    let clock = scheduler.services.clock
    let deadline = clock.monotonic().advanced(by: scheduler.settings.times.idle)
    while !isRetiring(transport), clock.monotonic() < deadline {
      await transport.settle()
      // Nothing is awaited between looking and waiting, so that no wake-up is lost.
      guard !pool.isReady(at: now), !isRetiring(transport) else { break }
      // Others have jobs for this place.
      if isWanted(transport.place) { return false }
      pool.rest(self)
      transport.place.address.rests(self)
      transport.place.name.rests(self)
      scheduler.resting += 1
      let isAlive = await transport.rest(until: deadline)
      pool.stopResting(self)
      transport.place.address.restsNoMore(self)
      transport.place.name.restsNoMore(self)
      scheduler.resting -= 1
      // A connection that broke is seen by the next step.
      if !isAlive { return true }
    }
    return pool.isReady(at: now) && !isRetiring(transport)
  }

  private func isWanted(_ place: HostPlace) -> Bool {
    place.address.isWanted(except: pool) || place.name.isWanted(except: pool) || pool.budget?.isWanted(except: pool) == true
  }

  private func start(_ job: Job, _ transport: Transport) async {
    if job.sevenBit == nil, transport.client.plan(for: job.transaction) == .needsSevenBit {
      guard scheduler.takesRoomToConvert(job) else { return scheduler.giveBack(job, after: .seconds(5)) }
      job.unreadable = nil
      do throws(StoreError) { job.sevenBit = try await scheduler.sevenBit(job) } catch {
        job.unreadable = error
        job.note(error)
      }
    }
    underWay.append(job)
    transport.start(job.transaction)
  }

  private func sendBody(_ id: UInt64, _ framing: SMTPBodyFraming, _ transport: Transport) async {
    guard let job = underWay.first(where: { $0.id == id }) else { return transport.connection.abort() }
    if let error = job.unreadable {
      transport.bodyUnreadable(error)
    } else if let bytes = job.sevenBit ?? job.hand.bytes {
      await transport.send(bytes, framing)
    } else {
      let store = scheduler.services.store
      let body = job.message.body
      await transport.send(job.message.size, framing, page: scheduler.settings.limits.page) { (range) async throws(StoreError) in
        do throws(StoreError) { return try await store.read(body, range: range) } catch {
          job.note(error)
          throw error
        }
      }
    }
  }

  private func completed(_ result: SMTPTransactionResult, _ transport: Transport) {
    guard let index = underWay.firstIndex(where: { $0.id == result.id }) else { return }
    let job = underWay.remove(at: index)
    guard let failure = transport.client.failure else { return scheduler.finished(job, result, over: transport, in: pool) }
    let problem = DeliveryProblem(failure, host: transport.host.name, endpoint: transport.endpoint)
    let nothingTried = result.recipients.allSatisfy { $0 == .notTried }
    if nothingTried, transport.transactions <= 1 {
      // A fresh connection that did not even get to its first message: not to be tried at once again.
      transport.place.note(.failed(problem, wasEstablished: true), at: now)
      scheduler.hostFailed(pool, problem, job)
    } else {
      scheduler.finished(job, result, over: transport, in: pool)
      guard !nothingTried, failure.stage != .body else { return }
      transport.place.note(.failed(problem, wasEstablished: true), at: now)
      scheduler.connectionFailed(pool, problem)
    }
  }

  private func ended(_ failure: SMTPClientFailure?, _ transport: Transport) {
    for job in underWay { scheduler.putBack(job, pool) }
    underWay = []
    if transport.client.chunkingRefused { scheduler.rememberNoChunking(transport.host) }
  }
}
