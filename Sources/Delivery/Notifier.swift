import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// Tells senders what became of their messages, and only then lets go of the recipients concerned.
///
/// Not `Sendable`: it lives on delivery's loop, and goes into tasks there as `Confined`.
final class Notifier {
  private let services: DeliveryServices
  private var hostname: String
  private var limits: DeliveryLimits
  private var pace: NotificationPace
  /// Recipients whose sender is to be told once the store takes notifications again.
  private(set) var waiting = 0

  init(services: DeliveryServices, hostname: String, limits: DeliveryLimits) {
    self.services = services
    self.hostname = hostname
    self.limits = limits
    self.pace = NotificationPace(perHour: limits.notificationsPerHour, domains: limits.destinations)
  }

  /// Takes another name and other limits, for the notifications to come.
  func update(_ settings: DeliverySettings) {
    hostname = settings.hostname
    limits = settings.limits
  }

  /// Sends what was gathered for a message's sender, one notification a stage, and records the outcomes that waited for it.
  func tell(_ hand: MessageInHand, _ scheduler: Scheduler) {
    services.confine()
    let failed = hand.failed
    let delayed = hand.delayed
    let succeeded = hand.succeeded
    let damaged = hand.damaged
    (hand.failed, hand.delayed, hand.succeeded, hand.damaged) = ([], [], [], [])
    let confined = Confined((self, hand), services)
    services.spawn {
      let (notifier, hand) = confined.value
      if !failed.isEmpty { await notifier.tellFailures(failed, hand, scheduler) }
      if !damaged.isEmpty { await notifier.tellDamage(damaged, hand, scheduler) }
      if !delayed.isEmpty { await notifier.tellDelays(delayed, hand, scheduler) }
      for stage in [ComposedNotification.Stage.delivered, .relayed] {
        let those = succeeded.filter { $0.stage == stage }
        if !those.isEmpty { await notifier.tellSuccesses(those, stage, hand, scheduler) }
      }
      await scheduler.recorder.flush()
    }
  }

  // MARK: Failures

  private func tellFailures(_ failed: [MessageInHand.Told], _ hand: MessageInHand, _ scheduler: Scheduler) async {
    let message = hand.message
    var records: [OutcomeRecord] = []
    var rest = failed[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(max(limits.recipientsPerNotification, 1)))
      rest = rest.dropFirst(part.count)
      // RFC 3461, 4.1: FAILURE is wanted unless something else was said.
      let wanting = part.filter { $0.entry.notification.notify.isEmpty || $0.entry.notification.notify.contains(.failure) }
      var notified: [TraceEvent] = []
      var reason: String?
      if let sender = message.envelope.reversePath {
        if wanting.isEmpty {
          reason = "no notification wanted (NOTIFY)"
        } else {
          let told = await surely(part.count, hand, scheduler) { () async throws(StoreError) in
            try await self.accept(.failed, wanting, hand, to: sender)
          }
          guard let told else { continue }
          notified = told
        }
      } else if Self.isForPostmaster(part, message) {
        let told = await surely(part.count, hand, scheduler) { () async throws(StoreError) in
          try await self.accept(.failed, part, hand, to: self.services.sink.postmaster, isDoubleBounce: true)
        }
        guard let told else { continue }
        notified = told
      } else {
        // RFC 5321, 4.5.5: nobody is told of what came from the null path.
        reason = "null reverse-path"
      }
      let now = services.clock.now()
      for told in part { records.append(bounced(told, notified: notified, because: reason, now: now)) }
    }
    await recordSurely(records, scheduler)
  }

  /// A message from the null path is never answered (RFC 5321, 4.5.5), but the postmaster hears of our own notifications, and of what
  /// was taken for an alias here and can't be kept: no sender can mend that. Never of a notification to the postmaster: those, as all of
  /// ours, want none.
  private static func isForPostmaster(_ failed: [MessageInHand.Told], _ message: QueuedMessage) -> Bool {
    if message.envelope.envelopeID?.hasPrefix(ComposedNotification.envelopeIDPrefix) == true { return true }
    return failed.contains {
      $0.entry.destination == Scheduler.localDestination && !$0.entry.notification.notify.contains(.never)
    }
  }

  /// What `make` gives once the store takes it. The recipients stay in hand meanwhile, so that no host is asked again only because the
  /// store is at fault. Nil: the server is stopping; they are due again at the next start.
  private func surely(
    _ count: Int, _ hand: MessageInHand, _ scheduler: Scheduler,
    _ make: () async throws(StoreError) -> [TraceEvent]
  ) async -> [TraceEvent]? {
    var pause = Duration.seconds(5)
    var isWaiting = false
    defer { if isWaiting { waiting -= count } }
    while !scheduler.isStopping {
      do throws(StoreError) {
        return try await make()
      } catch {
        if !isWaiting {
          isWaiting = true
          waiting += count
          // What waits for long holds no body in memory.
          hand.bytes = nil
          let reason = TraceEvent.Detail("reason", "the notification can't be stored yet: \(error)")
          services.store.note(hand.message.id, [TraceEvent(time: services.clock.now(), kind: .deferred, detail: [reason])])
        }
      }
      await services.sleeper.sleep(until: services.clock.monotonic().advanced(by: pause))
      pause = min(pause * 2, .seconds(60))
    }
    return nil
  }

  private func bounced(_ told: MessageInHand.Told, notified: [TraceEvent], because reason: String?, now: Timestamp) -> OutcomeRecord
  {
    let text = told.problem?.text ?? ""
    var detail: [TraceEvent.Detail] = [.init("status", told.problem?.status(permanent: true) ?? "5.0.0"), .init("reason", text)]
    if let reason { detail.append(.init("told", "nobody: \(reason)")) }
    let end = TraceEvent(
      time: now, kind: reason == "null reverse-path" ? .discarded : .bounced, recipient: told.entry.address.wire, detail: detail)
    return OutcomeRecord(
      entry: told.entry.id, message: told.entry.message, outcome: .permanent(reason: text), trace: told.trace + notified + [end])
  }

  /// Durably; what the store can't take now is handed to the recorder, which keeps at it.
  private func recordSurely(_ records: [OutcomeRecord], _ scheduler: Scheduler) async {
    guard !records.isEmpty else { return }
    do throws(StoreError) { try await scheduler.recorder.recordDurably(records) } catch {
      for record in records { scheduler.recorder.add(record) }
    }
  }

  /// Once for each message and way it goes: it is held from then on. Whoever sent it hears when the postmaster has decided.
  private func tellDamage(_ damaged: [MessageInHand.Told], _ hand: MessageInHand, _ scheduler: Scheduler) async {
    let told = await surely(damaged.count, hand, scheduler) { () async throws(StoreError) in
      try await self.accept(.held, damaged, hand, to: self.services.sink.postmaster)
    }
    guard let told else { return }
    await recordSurely(
      damaged.enumerated().map { position, one in
        OutcomeRecord(
          entry: one.entry.id, message: one.entry.message, outcome: .held(reason: one.problem?.text ?? ""),
          trace: position == 0 ? one.trace + told : one.trace)
      }, scheduler)
  }

  // MARK: Delays and successes

  private func tellDelays(_ delayed: [MessageInHand.Told], _ hand: MessageInHand, _ scheduler: Scheduler) async {
    guard let sender = hand.message.envelope.reversePath else { return }
    var notified: [TraceEvent] = []
    var told: Timestamp?
    do throws(StoreError) {
      notified = try await accept(
        .delayed, delayed, hand, to: sender, retryUntil: hand.message.received.advanced(by: scheduler.settings.retry.lifetime))
      told = services.clock.now()
    } catch {
      // The next failure tries to tell again.
    }
    for one in delayed {
      scheduler.recorder.add(
        OutcomeRecord(
          entry: one.entry.id, message: one.entry.message,
          outcome: one.postponement(until: one.next ?? services.clock.schedule()),
          trace: one.trace + notified,
          delayNotified: told))
    }
  }

  private func tellSuccesses(
    _ succeeded: [MessageInHand.Told], _ stage: ComposedNotification.Stage, _ hand: MessageInHand, _ scheduler: Scheduler
  ) async {
    var notified: [TraceEvent] = []
    if let sender = hand.message.envelope.reversePath {
      let told = await surely(succeeded.count, hand, scheduler) { () async throws(StoreError) in
        try await self.accept(stage, succeeded, hand, to: sender)
      }
      guard let told else { return }
      notified = told
    }
    let owed = succeeded.filter { $0.entry.destination == Scheduler.confirmationDestination }
    guard let first = owed.first else { return services.store.note(hand.message.id, notified) }
    // The queue let nobody forget them; now it may.
    await recordSurely(
      owed.map { told in
        OutcomeRecord(
          entry: told.entry.id, message: told.entry.message, outcome: .delivered(reply: "250 2.0.0 Confirmed to the sender"),
          trace: told.entry.id == first.entry.id ? notified : [])
      }, scheduler)
  }

  // MARK: Making one

  private func accept(
    _ stage: ComposedNotification.Stage, _ told: [MessageInHand.Told], _ hand: MessageInHand, to sender: EmailAddress,
    retryUntil: Timestamp? = nil, isDoubleBounce: Bool = false
  ) async throws(StoreError) -> [TraceEvent] {
    let message = hand.message
    let now = services.clock.now()
    let wantsWhole = stage == .failed && message.envelope.return != .headers && !message.envelope.requiresTLS && !isDoubleBounce
    let (original, isWhole) = try await original(hand, whole: wantsWhole)
    services.confine()
    let id = services.store.makeQueueID()
    let text = NotificationText(
      stage: stage, hostname: hostname, id: id, to: sender, date: now,
      boundary: "=_\(id).\(String(services.random.next(), radix: 36))",
      subject: message.id, arrival: message.received, retryUntil: retryUntil,
      envelopeID: isDoubleBounce || stage == .held ? nil : message.envelope.envelopeID, sender: message.envelope.reversePath,
      recipients: told.map { recipient($0, stage) },
      original: original, isWhole: isWhole, isDoubleBounce: isDoubleBounce)
    var notification = ComposedNotification(
      id: id, stage: stage, subject: message.id, recipient: sender, bytes: text.bytes(),
      notBefore: pace.next(for: sender.domain, now: services.clock.schedule()), requiresTLS: message.envelope.requiresTLS,
      isInternationalized: text.isInternational, bodyType: text.hasEightBit ? .eightBitMIME : .sevenBit)
    notification.isForPostmaster = isDoubleBounce || stage == .held
    let stored = try await services.sink.accept(notification)
    if let reason = stored.discarded {
      if stage == .failed, !isDoubleBounce {
        // A sender who is nobody here hears of nothing; whoever runs this host should.
        return [Self.discarded(stored.id, sender, stage, reason, now)]
          + (try await accept(stage, told, hand, to: services.sink.postmaster, isDoubleBounce: true))
      }
      return [Self.discarded(stored.id, sender, stage, reason, now)]
    }
    let detail: [TraceEvent.Detail] = [.init("id", "\(stored.id)"), .init("to", sender.wire), .init("stage", stage.rawValue)]
    return [TraceEvent(time: now, kind: .notified, detail: detail)]
  }

  private static func discarded(
    _ id: QueueID, _ recipient: EmailAddress, _ stage: ComposedNotification.Stage, _ reason: String, _ now: Timestamp
  ) -> TraceEvent {
    let detail: [TraceEvent.Detail] = [
      .init("notification-id", "\(id)"), .init("notification-to", recipient.wire), .init("stage", stage.rawValue),
      .init("discarded", reason),
    ]
    return TraceEvent(time: now, kind: .discarded, detail: detail)
  }

  private func recipient(_ told: MessageInHand.Told, _ stage: ComposedNotification.Stage) -> NotificationText.Recipient {
    let status: String
    switch stage {
    case .failed: status = told.problem?.status(permanent: true) ?? "5.0.0"
    case .delayed, .held: status = told.problem?.status(permanent: false) ?? "4.0.0"
    case .delivered, .relayed, .expanded: status = "2.0.0"
    }
    return NotificationText.Recipient(
      address: told.entry.address, originalRecipient: told.entry.notification.originalRecipient, status: status,
      explanation: told.problem?.text ?? told.reply.map { "\(told.host ?? "The next host") said: \($0)" } ?? "Into the mailbox.",
      diagnostic: told.problem == nil
        ? told.reply.map { .smtp($0) }
        : told.problem.map { problem in
          problem.reply.map { .smtp("\($0)") } ?? .own(problem.reason)
        }, remoteHost: told.host, next: told.next.map(services.clock.wall))
  }

  /// The message, or its header alone if it is too large or can't stand in a report.
  private func original(_ hand: MessageInHand, whole: Bool) async throws(StoreError) -> ([UInt8], isWhole: Bool) {
    let message = hand.message
    let fits = whole && message.size <= limits.returnedMessage && !message.census.isBinary && message.census.longestLine <= 998
    let wanted = fits ? message.size : min(message.size, limits.returnedHeader)
    var bytes: [UInt8]
    if let kept = hand.bytes {
      bytes = Array(kept.readableBytesView.prefix(wanted))
    } else {
      do throws(StoreError) {
        bytes = Array(try await services.store.read(message.body, range: 0..<wanted).readableBytesView)
      } catch .damaged {
        // What can't be read can't be returned; that must not keep the sender from hearing.
        bytes = Array("X-Martlet-Note: the message can't be read any more\r\n".utf8)
        return (bytes, false)
      }
    }
    if fits { return (bytes, true) }
    bytes = Array(bytes.prefix(MessageHead.length(of: bytes)))
    // A header that was cut ends with a whole line.
    if let last = bytes.lastIndex(of: 0x0A) { bytes = Array(bytes[...last]) }
    return (bytes, false)
  }
}

/// Spreads notifications to one domain over time (HOSTILE 16).
struct NotificationPace {
  private var hours: [String: (start: Timestamp, count: Int)] = [:]
  private let perHour: Int
  private let domains: Int

  init(perHour: Int, domains: Int) {
    self.perHour = max(perHour, 1)
    self.domains = max(domains, 1)
  }

  /// When the next notification to `domain` may leave: now, or in the first hour that has room.
  mutating func next(for domain: String, now: Timestamp) -> Timestamp {
    if hours.count >= domains, hours[domain] == nil { hours = hours.filter { now.since($0.value.start) < .seconds(3_600) } }
    if hours.count >= domains, hours[domain] == nil { hours = [:] }
    var hour = hours[domain] ?? (now, 0)
    if now.since(hour.start) >= .seconds(3_600) {
      // What was promised to later hours stands.
      hour.count = max(hour.count - perHour, 0)
      hour.start = now
    }
    let later = hour.count / perHour
    hour.count += 1
    hours[domain] = hour
    return later == 0 ? now : hour.start.advanced(by: .seconds(3_600) * later)
  }
}
