import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// Tells senders what became of their messages, and only then lets go of the recipients concerned.
///
/// Confined to the scheduler's loop, which makes `@unchecked Sendable` true.
final class Notifier: @unchecked Sendable {
  private let services: DeliveryServices
  private let hostname: String
  private let limits: DeliveryLimits
  private var pace: NotificationPace

  init(services: DeliveryServices, hostname: String, limits: DeliveryLimits) {
    self.services = services
    self.hostname = hostname
    self.limits = limits
    self.pace = NotificationPace(perHour: limits.notificationsPerHour, domains: limits.destinations)
  }

  /// Sends what was gathered for a message's sender, one notification a stage, and records the outcomes that waited for it.
  func tell(_ hand: MessageInHand, _ scheduler: Scheduler) {
    let failed = hand.failed
    let delayed = hand.delayed
    let succeeded = hand.succeeded
    (hand.failed, hand.delayed, hand.succeeded) = ([], [], [])
    services.spawn { [self] in
      if !failed.isEmpty { await tellFailures(failed, hand, scheduler) }
      if !delayed.isEmpty { await tellDelays(delayed, hand, scheduler) }
      for stage in [ComposedNotification.Stage.delivered, .relayed] {
        let those = succeeded.filter { $0.stage == stage }
        if !those.isEmpty { await tellSuccesses(those, stage, hand, scheduler) }
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
      let now = services.clock.now()
      do throws(StoreError) {
        if let sender = message.envelope.reversePath {
          if wanting.isEmpty {
            reason = "no notification wanted (NOTIFY)"
          } else {
            notified = try await accept(.failed, wanting, hand, to: sender)
          }
        } else if Self.isForPostmaster(part, message) {
          notified = try await accept(.failed, part, hand, to: services.sink.postmaster, isDoubleBounce: true)
        } else {
          // RFC 5321, 4.5.5: nobody is told of what came from the null path.
          reason = "null reverse-path"
        }
      } catch {
        // Not told, so not over: tried again, though the host may be asked once more.
        let next = now.advanced(by: .seconds(60))
        for told in part {
          records.append(
            OutcomeRecord(
              entry: told.entry.id, message: message.id,
              outcome: .transient(reason: "\(told.problem?.text ?? ""); the notification can't be stored: \(error)", next: next),
              trace: told.trace))
        }
        scheduler.wake(at: next)
        continue
      }
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
          outcome: .transient(reason: one.problem?.text ?? "", next: one.next ?? services.clock.now()), trace: one.trace + notified,
          delayNotified: told))
    }
  }

  private func tellSuccesses(
    _ succeeded: [MessageInHand.Told], _ stage: ComposedNotification.Stage, _ hand: MessageInHand, _ scheduler: Scheduler
  ) async {
    guard let sender = hand.message.envelope.reversePath else { return }
    // The message is gone already; a store that fails gets a few chances.
    for _ in 0..<3 {
      do throws(StoreError) {
        let notified = try await accept(stage, succeeded, hand, to: sender)
        return services.store.note(hand.message.id, notified)
      } catch {
        await services.sleeper.sleep(until: services.clock.monotonic().advanced(by: .seconds(5)))
      }
    }
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
    let id = services.store.makeQueueID()
    let text = NotificationText(
      stage: stage, hostname: hostname, id: id, to: sender, date: now,
      boundary: "=_\(id).\(String(services.random.next(), radix: 36))",
      subject: message.id, arrival: message.received, retryUntil: retryUntil,
      envelopeID: isDoubleBounce ? nil : message.envelope.envelopeID, recipients: told.map { Self.recipient($0, stage) },
      original: original, isWhole: isWhole, isDoubleBounce: isDoubleBounce)
    var notification = ComposedNotification(
      id: id, stage: stage, subject: message.id, recipient: sender, bytes: text.bytes(),
      notBefore: pace.next(for: sender.domain, now: now), requiresTLS: message.envelope.requiresTLS,
      isInternationalized: text.isInternational, bodyType: text.hasEightBit ? .eightBitMIME : .sevenBit)
    notification.isForPostmaster = isDoubleBounce
    let stored = try await services.sink.accept(notification)
    let detail: [TraceEvent.Detail] = [.init("id", "\(stored)"), .init("to", sender.wire), .init("stage", stage.rawValue)]
    return [TraceEvent(time: now, kind: .notified, detail: detail)]
  }

  private static func recipient(_ told: MessageInHand.Told, _ stage: ComposedNotification.Stage) -> NotificationText.Recipient {
    let status: String
    switch stage {
    case .failed: status = told.problem?.status(permanent: true) ?? "5.0.0"
    case .delayed: status = told.problem?.status(permanent: false) ?? "4.0.0"
    case .delivered, .relayed, .expanded: status = "2.0.0"
    }
    return NotificationText.Recipient(
      address: told.entry.address, originalRecipient: told.entry.notification.originalRecipient, status: status,
      explanation: told.problem?.text ?? told.reply.map { "\(told.host ?? "The next host") said: \($0)" } ?? "Into the mailbox.",
      diagnostic: told.problem.map { $0.reply.map { "\($0)" } ?? $0.reason } ?? told.reply, remoteHost: told.host, next: told.next)
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
