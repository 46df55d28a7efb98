import Bytes
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside
import Routing
import SMTP

/// What becomes of jobs: recorded, tried again, told.
extension Scheduler {
  /// A transaction ended: every recipient has a result, or is to be tried again at once.
  func finished(_ job: Job, _ result: SMTPTransactionResult, over transport: Transport, in pool: DestinationPool) {
    confine()
    let now = services.clock.now()
    let entries = job.entries
    job.entries = []
    var hostAnswered = false
    var isDeferred = false
    var isTaken = false
    for (entry, outcome) in zip(entries, result.recipients) {
      switch outcome {
      case .accepted(let reply):
        hostAnswered = true
        isTaken = true
        accepted(entry, reply, job, result, transport, now)
      case .transient where job.isDamaged: damaged(entry, job, now)
      case .transient(let failure):
        if let reply = failure.reply, reply.code != 421 {
          hostAnswered = true
          if Self.isOfHost(reply) { isDeferred = true }
        }
        failed(entry, job, problem(failure, transport), details: facts(transport), now)
      case .permanent(let failure):
        hostAnswered = true
        failedForEver(entry, job, problem(failure, transport), details: facts(transport), now)
      case .notTried: job.entries.append(entry)
      }
    }
    if isTaken { pool.rate.count(at: services.clock.monotonic()) }
    if job.entries.isEmpty { over(job) } else { putBack(job, pool) }
    guard hostAnswered, transport.client.failure == nil else { return }
    pool.succeeded()
    transport.place.note(isDeferred && !isTaken ? .deferred : .taken, at: services.clock.monotonic())
    // It may get more connections now.
    serve(pool)
    serveWaiting(at: transport.place)
  }

  /// Whether a 4xx speaks of the host and its load, and not of the recipient: RFC 3463, 3.2 and 3.3, has addresses and mailboxes.
  private static func isOfHost(_ reply: SMTPReply) -> Bool {
    guard let enhanced = reply.enhanced else { return true }
    return enhanced.subject != 1 && enhanced.subject != 2
  }

  private func problem(_ failure: SMTPClientFailure, _ transport: Transport) -> DeliveryProblem {
    DeliveryProblem(failure, host: transport.host.name, endpoint: transport.endpoint)
  }

  private func facts(_ transport: Transport) -> [TraceEvent.Detail] {
    var result: [TraceEvent.Detail] = [.init("tls", transport.tlsResult)]
    if let source = transport.source { result.append(.init("source", "\(source)")) }
    if let name = transport.helo { result.append(.init("helo", name)) }
    if let refusal = transport.client.startTLSRefusal { result.append(.init("starttls", "\(refusal)")) }
    return result
  }

  private func accepted(
    _ entry: QueueEntry, _ reply: SMTPReply, _ job: Job, _ result: SMTPTransactionResult, _ transport: Transport, _ now: Timestamp
  ) {
    let text = "\(reply)"
    let trace = TraceEvent(
      time: now, kind: .relayed, recipient: entry.address.wire,
      detail: job.routeFacts(of: entry) + [.init("host", transport.host.name), .init("address", "\(transport.endpoint)")]
        + facts(transport)
        + [.init("reply", text)])
    recorder.add(OutcomeRecord(entry: entry.id, message: entry.message, outcome: .delivered(reply: text), trace: [trace]))
    // RFC 3461, 5.2.2: a host that sends no notifications of its own leaves that to us. LMTP is final delivery.
    guard entry.notification.notify.contains(.success), !result.passedNotifications else { return }
    let stage: ComposedNotification.Stage = transport.client.settings.dialect == .lmtp ? .delivered : .relayed
    job.hand.succeeded.append(.init(entry: entry, reply: text, host: transport.host.name, stage: stage, trace: []))
  }

  /// Tried again later, or returned when its time is over.
  private func failed(
    _ entry: QueueEntry, _ job: Job, _ problem: DeliveryProblem, details: [TraceEvent.Detail] = [], _ now: Timestamp,
    isSkipped: Bool = false
  ) {
    let schedule = services.clock.schedule()
    guard let next = nextAttempt(entry, job.message, schedule, isSkipped: isSkipped) else {
      var expired = problem
      expired.reason = "550 5.4.7 Not delivered in \(Self.text(settings.retry.lifetime)); last: \(problem.text)"
      expired.reply = nil
      return failedForEver(entry, job, expired, details: details + [.init("last", problem.text)], now)
    }
    let facts = job.routeFacts(of: entry) + problem.details + details
    let until = TraceEvent.Detail("next", "\(services.clock.wall(of: next).seconds)")
    var trace: [TraceEvent] = []
    if !isSkipped { trace = [TraceEvent(time: now, kind: .attempted, recipient: entry.address.wire, detail: facts)] }
    trace.append(
      TraceEvent(time: now, kind: .deferred, recipient: entry.address.wire, detail: isSkipped ? facts + [until] : [until]))
    let told = MessageInHand.Told(
      entry: entry, problem: problem, host: problem.host, stage: .delayed, next: next, isSkipped: isSkipped, trace: trace)
    if isDelayDue(entry, job.message, schedule) {
      job.hand.delayed.append(told)
    } else {
      recorder.add(OutcomeRecord(entry: entry.id, message: entry.message, outcome: told.postponement(until: next), trace: trace))
    }
    wake(at: next)
  }

  private func nextAttempt(_ entry: QueueEntry, _ message: QueuedMessage, _ now: Timestamp, isSkipped: Bool) -> Timestamp? {
    let backoff = Backoff(policy: settings.retry, returns: mayReturn)
    return isSkipped
      ? backoff.nextUntried(received: message.received, now: now, random: services.random)
      : backoff.next(failures: entry.attempts.addedClamped(1), received: message.received, now: now, random: services.random)
  }

  /// Whether what is too old may be returned: not just after the start. What was out of reach while this host was down, after the same
  /// power cut perhaps, is given a 24th of its lifetime, an hour at most.
  private var mayReturn: Bool {
    guard let started else { return true }
    return services.clock.monotonic() >= started.advanced(by: min(settings.retry.lifetime / 24, .seconds(3_600)))
  }

  /// Whether the sender is to be told now that it is late: once, and only if wanted (RFC 3461, 4.1).
  private func isDelayDue(_ entry: QueueEntry, _ message: QueuedMessage, _ now: Timestamp) -> Bool {
    guard settings.retry.delayNotice > .zero, entry.delayNotified == nil, message.envelope.reversePath != nil else { return false }
    guard now >= message.received.advanced(by: settings.retry.delayNotice) else { return false }
    let notify = entry.notification.notify
    return notify.isEmpty || notify.contains(.delay)
  }

  /// Never: recorded once the sender has been told, or need not be.
  private func failedForEver(
    _ entry: QueueEntry, _ job: Job, _ problem: DeliveryProblem, details: [TraceEvent.Detail] = [], _ now: Timestamp
  ) {
    if settings.softBounces { return keep(entry, job, problem, details: details, now) }
    let trace = [
      TraceEvent(
        time: now, kind: .attempted, recipient: entry.address.wire, detail: job.routeFacts(of: entry) + problem.details + details)
    ]
    job.hand.failed.append(.init(entry: entry, problem: problem, host: problem.host, stage: .failed, trace: trace))
  }

  /// What would be returned is tried again instead, for as long as soft bounces are on.
  private func keep(
    _ entry: QueueEntry, _ job: Job, _ problem: DeliveryProblem, details: [TraceEvent.Detail], _ now: Timestamp
  ) {
    let schedule = services.clock.schedule()
    // Without returning there is always another attempt.
    let next =
      Backoff(policy: settings.retry, returns: false).next(
        failures: entry.attempts.addedClamped(1), received: job.message.received, now: schedule, random: services.random)
      ?? schedule.advanced(by: settings.retry.maximumRetry)
    let trace = [
      TraceEvent(
        time: now, kind: .attempted, recipient: entry.address.wire, detail: job.routeFacts(of: entry) + problem.details + details),
      TraceEvent(
        time: now, kind: .deferred, recipient: entry.address.wire,
        detail: [
          .init("kept", "soft-bounce: it would have been returned"), .init("next", "\(services.clock.wall(of: next).seconds)"),
        ]),
    ]
    recorder.add(
      OutcomeRecord(
        entry: entry.id, message: entry.message, outcome: .transient(reason: QueueEntry.keptPrefix + problem.text, next: next),
        trace: trace))
    wake(at: next)
  }

  /// Its bytes fail their checksum, which no attempt mends: held for a person, once that person has been told.
  private func damaged(_ entry: QueueEntry, _ job: Job, _ now: Timestamp) {
    let problem = DeliveryProblem("451 4.3.0 The stored message is damaged")
    let trace = [
      TraceEvent(time: now, kind: .attempted, recipient: entry.address.wire, detail: job.routeFacts(of: entry) + problem.details),
      TraceEvent(time: now, kind: .held, recipient: entry.address.wire, detail: [.init("reason", problem.text)]),
    ]
    job.hand.damaged.append(.init(entry: entry, problem: problem, stage: .held, trace: trace))
  }

  // MARK: Whole jobs

  /// All its recipients are tried again later.
  func postpone(_ job: Job, _ problem: DeliveryProblem, isSkipped: Bool = false) {
    let now = services.clock.now()
    let details: [TraceEvent.Detail] = isSkipped ? [.init("skipped", "the destination failed just now")] : []
    for entry in job.entries { failed(entry, job, problem, details: details, now, isSkipped: isSkipped) }
    over(job)
    flushSoon()
  }

  /// None of its recipients can ever be served.
  func refuse(_ job: Job, _ problem: DeliveryProblem) {
    let now = services.clock.now()
    for entry in job.entries { failedForEver(entry, job, problem, now) }
    over(job)
    flushSoon()
  }

  /// Back to the queue without an attempt.
  func giveBack(_ job: Job, after pause: Duration) { giveBack(job, at: services.clock.schedule().advanced(by: pause)) }

  /// Back to the queue without an attempt, due at `next`.
  func giveBack(_ job: Job, at next: Timestamp) {
    for entry in job.entries {
      recorder.add(OutcomeRecord(entry: entry.id, message: entry.message, outcome: .returned(next: next)))
    }
    wake(at: next)
    over(job)
    flushSoon()
  }

  /// A fresh message that there is no room for: the queue has it, and gives it back in its turn.
  func leave(_ message: QueuedMessage) {
    confine()
    let now = services.clock.schedule()
    for entry in message.entries where entry.state != .held && !inHand.contains(entry.id) {
      recorder.add(OutcomeRecord(entry: entry.id, message: entry.message, outcome: .returned(next: now)))
    }
    claimsAgain = true
    wake(after: .seconds(1))
    flushSoon()
  }

  /// Hands outcomes to the store that no worker is about to hand over.
  private func flushSoon() {
    guard recorder.hasPending, !isFlushing else { return }
    isFlushing = true
    services.spawn { [self] in
      isFlushing = false
      await recorder.flush()
    }
  }

  /// First in line again, for another connection.
  func putBack(_ job: Job, _ pool: DestinationPool) {
    guard !isStopping else { return giveBack(job, after: .zero) }
    pool.putBack(job)
    serve(pool)
  }

  /// No host of the pool could be worked with.
  func hostFailed(_ pool: DestinationPool, _ problem: DeliveryProblem, _ job: Job) {
    // RFC 7504, 3: hosts that take no mail at all.
    if let code = problem.reply?.code, code == 521 || code == 556 { refuse(job, problem) } else { postpone(job, problem) }
    connectionFailed(pool, problem)
  }

  /// Counts a failure; where nothing is left to be tried, what waits goes back with the reason.
  func connectionFailed(_ pool: DestinationPool, _ problem: DeliveryProblem) {
    confine()
    guard !isStopping else { return }
    pool.failed(problem)
    guard case .closed = hosts.access(to: hostsToTry(of: pool.route), at: services.clock.monotonic()) else { return }
    for job in pool.takeAll() { postpone(job, problem, isSkipped: true) }
  }

  /// A job is over; the last of a message's jobs tells its sender what there is to tell.
  func over(_ job: Job) {
    confine()
    let hand = job.hand
    hand.jobs -= 1
    jobs -= 1
    conversionOctets -= job.conversionOctets
    job.conversionOctets = 0
    if hand.jobs == 0 {
      bodyOctets -= hand.bytes?.readableBytes ?? 0
      if hand.hasNews { notifier.tell(hand, self) }
    } else if hand.hasNews, !hand.isTimed {
      hand.isTimed = true
      let confined = Confined(hand, services)
      services.spawn { [self] in
        await services.sleeper.sleep(until: services.clock.monotonic().advanced(by: settings.times.gathering))
        let hand = confined.value
        hand.isTimed = false
        if hand.hasNews { notifier.tell(hand, self) }
      }
    }
  }

  static func text(_ duration: Duration) -> String {
    let seconds = duration.components.seconds
    if seconds >= 86_400, seconds % 86_400 == 0 { return seconds == 86_400 ? "a day" : "\(seconds / 86_400) days" }
    if seconds >= 3_600 { return "\(seconds / 3_600) hours" }
    return seconds >= 60 ? "\(seconds / 60) minutes" : "\(seconds) seconds"
  }

  /// Its recipients have their copies; what is left is to say so.
  func confirm(_ job: Job) {
    for entry in job.entries { job.hand.succeeded.append(.init(entry: entry, stage: .delivered, trace: [])) }
    over(job)
  }

  // MARK: Local delivery

  /// What could not be decided before the reply, or became ours meanwhile.
  func deliverLocally(_ job: Job) async {
    for entry in job.entries {
      let resolution =
        if let local = services.local { await local.resolve(entry, of: job.message) } else {
          LocalResolution.transient(reason: "451 4.3.5 Local delivery is not available")
        }
      let now = services.clock.now()
      job.routeDetails = [.init("route", "local")]
      switch resolution {
      case .deliver(let delivery):
        do throws(StoreError) {
          try await recorder.recordDurably([
            OutcomeRecord(
              entry: entry.id, message: entry.message, outcome: .deliveredLocally(delivery),
              trace: [
                TraceEvent(
                  time: now, kind: .delivered, recipient: entry.address.wire, detail: [.init("mailbox", delivery.mailbox)])
              ])
          ])
          if entry.notification.notify.contains(.success) {
            job.hand.succeeded.append(.init(entry: entry, reply: nil, host: nil, stage: .delivered, trace: []))
          }
        } catch .overQuota {
          failed(entry, job, DeliveryProblem("452 4.2.2 The mailbox is full"), now)
        } catch {
          failed(entry, job, DeliveryProblem("451 4.3.0 The mailbox can't be written: \(error)"), now)
        }
      case .expanded(let id):
        let trace = TraceEvent(time: now, kind: .expanded, recipient: entry.address.wire, detail: [.init("into", "\(id)")])
        recorder.add(
          OutcomeRecord(
            entry: entry.id, message: entry.message, outcome: .delivered(reply: "250 2.0.0 Expanded into \(id)"), trace: [trace]))
      case .transient(let reason): failed(entry, job, DeliveryProblem(reason), now)
      case .permanent(let reason): failedForEver(entry, job, DeliveryProblem(reason), now)
      }
    }
    over(job)
    await recorder.flush()
  }
}
