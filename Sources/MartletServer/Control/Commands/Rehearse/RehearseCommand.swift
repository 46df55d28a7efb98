import Bytes
import Configuration
import MailModel
import MailStore
import Outside

/// `martlet rehearse`: judges the recorded traffic again under another configuration and tells what would differ.
public struct Rehearse: AdminCommand {
  public var since: String?
  public var isJSON: Bool

  public init(since: String?, isJSON: Bool) {
    self.since = since
    self.isJSON = isJSON
  }

  /// Messages read at a time.
  private static let page = 200

  struct Difference: Encodable {
    var id: String
    var received: String
    var sender: String
    var messageID: String?
    /// `verdict`, `destination` or `route`.
    var what: String
    /// Empty for the whole message.
    var recipient: String
    var was: String
    var now: String
    /// `configuration`, or `directory` where the running configuration would differ in the same way: accounts or aliases have changed since.
    /// `unknown` where no server runs and what it ran by can't be told.
    var because: String
  }

  struct Summary: Encodable {
    struct Gap: Encodable {
      var reason: String
      var messages: Int
    }

    var messages = 0
    var judged = 0
    var verdicts = 0
    var destinations = 0
    var routes = 0
    /// Messages that can't be judged again, or not in full, by reason.
    var gaps: [Gap] = []

    mutating func add(_ gap: RecordedMail.Gap) {
      if let place = gaps.firstIndex(where: { $0.reason == gap.reason }) {
        gaps[place].messages += gap.messages
      } else if gaps.count < 50 {
        gaps.append(Gap(reason: gap.reason, messages: gap.messages))
      } else {
        gaps[gaps.count - 1].messages += gap.messages
      }
    }
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let input = try DryRunInput(context.input)
    guard input.configuration != nil else {
      throw AdminFailure("rehearse needs --config FILE: the configuration to be tried", exitCode: 64)
    }
    let directory = try await context.directory()
    let wanted = try Rehearsal(
      try input.configuration(else: context.configuration), directory: directory, clock: context.clock)
    // Where no server runs the context's configuration is the one to be tried.
    let known = context.live == nil ? input.usualConfiguration(of: context.configuration.data) : context.configuration
    let running = try known.map { known throws(AdminFailure) in try Rehearsal(known, directory: directory, clock: context.clock) }
    let earliest = try since.map { words throws(AdminFailure) in try SinceWords.time(words, context) }
    var summary = Summary()
    var array = JSONPieces()
    if isJSON { try await context.write(Array("{\n\"differences\" : ".utf8)) }
    var after: QueueID?
    var first: Timestamp?
    let end = context.clock.now()
    while true {
      let place = after
      let messages = try await context.asking { () async throws(StoreError) in
        try await context.store.traces(since: earliest, after: place, limit: Self.page)
      }
      guard let last = messages.last else { break }
      after = last.id
      if first == nil { first = messages.first?.id.time }
      for message in messages {
        let differences = await judge(message, wanted, running, &summary)
        if isJSON { try await context.write(array.adding(differences)) }
        for difference in differences where !isJSON { try await context.say(Self.line(difference, context, message)) }
      }
      try await report(last.id.time, from: first ?? end, to: end, isLast: false, context)
    }
    if let first { try await report(end, from: first, to: end, isLast: true, context) }
    try await finish(summary, array, context)
  }

  private func report(
    _ time: Timestamp, from first: Timestamp, to end: Timestamp, isLast: Bool, _ context: AdminContext
  ) async throws(AdminFailure) {
    let total = max(end.since(first).components.seconds, 1)
    let done = isLast ? total : min(max(time.since(first).components.seconds, 0), total)
    try await context.output.progress(AdminProgress(done: done, total: total, what: "seconds of mail", isLast: isLast))
  }

  // MARK: One message

  private func judge(
    _ message: TracedMessage, _ wanted: Rehearsal, _ running: Rehearsal?, _ summary: inout Summary
  ) async -> [Difference] {
    summary.messages += 1
    var found: [Difference] = []
    var isJudged = true
    do throws(RecordedMail.Gap) {
      let mail = try RecordedMail(message)
      let before = try running?.differences(from: mail)
      for (was, now) in try wanted.differences(from: mail) {
        let cause = Self.cause(isOld: before.map { before in before.contains { $0.now == now } })
        found.append(Self.difference(mail, "verdict", now.subject, was, now.words, cause))
      }
      if found.isEmpty {
        if let difference = Self.destinations(mail, wanted, running) { found.append(difference) }
        found += try await Self.routes(mail, wanted, running)
      }
    } catch {
      summary.add(error)
      isJudged = false
    }
    if isJudged { summary.judged += 1 }
    for difference in found {
      switch difference.what {
      case "verdict": summary.verdicts += 1
      case "destination": summary.destinations += 1
      default: summary.routes += 1
      }
    }
    return found
  }

  /// Other mailboxes or addresses than those that got it.
  private static func destinations(_ mail: RecordedMail, _ wanted: Rehearsal, _ running: Rehearsal?) -> Difference? {
    guard case .accepted = mail.verdict, mail.isWhole, !(mail.local.isEmpty && mail.ways.isEmpty),
      let now = wanted.targets(of: mail)
    else { return nil }
    let remote = Set(mail.ways.map { $0.address.wire.asciiLowercased })
    // A copy that was sent on at first may have come into a mailbox here later: what is in both is there.
    guard now.local.union(now.remote) != mail.local.union(remote) else { return nil }
    let cause = cause(isOld: running.map { running in running.targets(of: mail).map { $0 == now } ?? false })
    return difference(mail, "destination", "", words(mail.local, remote), words(now.local, now.remote), cause)
  }

  /// - Parameter isOld: whether the running configuration would differ in the same way; nil: it is not known.
  private static func cause(isOld: Bool?) -> String {
    isOld.map { $0 ? "directory" : "configuration" } ?? "unknown"
  }

  private static func words(_ local: Set<String>, _ remote: Set<String>) -> String {
    let parts = local.sorted().map { "mailbox \($0)" } + remote.sorted()
    return parts.prefix(20).joined(separator: ", ") + (parts.count > 20 ? " and \(parts.count - 20) more" : "")
  }

  private static func routes(
    _ mail: RecordedMail, _ wanted: Rehearsal, _ running: Rehearsal?
  ) async throws(RecordedMail.Gap) -> [Difference] {
    var found: [Difference] = []
    for way in mail.ways {
      if way.isRerouted || way.source?.hasPrefix("rerouted") == true {
        throw RecordedMail.Gap(reason: "it was rerouted by hand")
      }
      let isRouted = wanted.hasRoute(way)
      guard let wasRouted = way.source.map({ $0.hasPrefix("route ") }) ?? running?.hasRoute(way) else {
        throw RecordedMail.Gap(reason: "its route is not in the trace yet, and no server runs")
      }
      // Where neither has a route of its own, the DNS decides, by the answers that the trace has.
      if !isRouted, !wasRouted, way.source == nil { continue }
      let was: String?
      if wasRouted {
        was = way.source
      } else if let running {
        was = running.hasRoute(way) ? "by MX" : await running.way(way)
      } else if isRouted {
        was = "by MX"
      } else {
        throw RecordedMail.Gap(
          reason: "sent by MX under a configuration that is not known: no server runs, and $MARTLET_CONFIG names none for its data")
      }
      let now = await wanted.way(way)
      if !isRouted, !wasRouted, was == nil || now == nil || was == "by MX" {
        if was == "by MX" { continue }
        throw RecordedMail.Gap(reason: "the DNS answers of its route are not in the trace")
      }
      let (before, after) = (was ?? "by the running configuration's route", now ?? "by MX (the DNS is not asked)")
      if before != after { found.append(difference(mail, "route", way.address.wire, before, after, "configuration")) }
    }
    return found
  }

  private static func difference(
    _ mail: RecordedMail, _ what: String, _ recipient: String, _ was: String, _ now: String, _ because: String
  ) -> Difference {
    Difference(
      id: mail.id.description, received: mail.id.time.iso8601, sender: mail.senderText, messageID: mail.messageID, what: what,
      recipient: recipient, was: was, now: now, because: because)
  }

  // MARK: Telling

  private static func line(_ difference: Difference, _ context: AdminContext, _ message: TracedMessage) -> String {
    let whom = difference.recipient.isEmpty ? "" : " to <\(difference.recipient)>"
    let cause =
      switch difference.because {
      case "configuration": ""
      case "directory": " [accounts or aliases have changed since, not the configuration]"
      default: " [by the configuration, or by accounts and aliases that have changed since]"
      }
    let text =
      "\(difference.id)  \(context.readable(message.id.time))  from <\(difference.sender)>\(whom): \(difference.what): \(difference.was) -> \(difference.now)\(cause)"
    return String.escaped(text.utf8, limit: 2_000)
  }

  private func finish(_ summary: Summary, _ array: JSONPieces, _ context: AdminContext) async throws(AdminFailure) {
    if isJSON {
      try await context.write(array.ending())
      try await context.write(Array(",\n\"summary\" : ".utf8) + JSONPieces.encoded(summary) + Array("\n}\n".utf8))
      return
    }
    try await context.say(
      "\(summary.messages) messages, \(summary.judged) of them judged again: \(summary.verdicts) other verdicts, \(summary.destinations) other destinations, \(summary.routes) other routes"
    )
    for gap in summary.gaps { try await context.say("not judged again: \(gap.messages): \(gap.reason)") }
  }
}
