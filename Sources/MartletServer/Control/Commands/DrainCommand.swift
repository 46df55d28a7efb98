import MailStore
import Outside

/// `martlet drain`
public struct DrainServer: AdminCommand {
  /// Mail is taken again.
  public var isOff: Bool
  /// Wait until nothing is left but what is deferred or held.
  public var waits: Bool
  public var isJSON: Bool

  public init(isOff: Bool, waits: Bool, isJSON: Bool) {
    self.isOff = isOff
    self.waits = waits
    self.isJSON = isJSON
  }

  /// How it stands, for scripts.
  struct Progress: Encodable {
    var draining: Bool
    /// Sessions that have not ended yet.
    var sessions: Int
    /// Recipients that are being delivered, or are due.
    var left: Int
    /// Recipients that wait for a later attempt, and those of them that are kept after a permanent failure.
    var deferred: Int
    var kept: Int
    var held: Int
    /// Nothing is left but what is deferred or held.
    var drained: Bool
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    guard let live = context.live else { throw AdminFailure("no server runs: nothing takes mail", exitCode: 75) }
    live.drain(!isOff)
    guard !isOff else {
      if isJSON { return try await context.sayJSON(try await progress(live, context)) }
      return try await context.say("mail is taken again")
    }
    var progress = try await progress(live, context)
    if waits { progress = try await wait(from: progress, live, context) }
    if isJSON { return try await context.sayJSON(progress) }
    if waits, progress.drained {
      try await context.say("drained: \(progress.deferred) recipients deferred, \(progress.held) held")
    } else {
      try await context.say(
        "draining: \(progress.sessions) sessions open, \(progress.left) recipients to deliver, \(progress.deferred) deferred, \(progress.held) held"
      )
    }
  }

  private func wait(from first: Progress, _ live: any LiveServer, _ context: AdminContext) async throws(AdminFailure) -> Progress {
    var progress = first
    // What still came in while sessions ended is more to do.
    var most = first.left
    while !progress.drained {
      most = max(most, progress.left)
      try await context.output.progress(
        AdminProgress(done: Int64(most - progress.left), total: Int64(most), what: "recipients delivered or deferred"))
      let began = context.clock.monotonic()
      progress = try await self.progress(live, context)
      guard live.report.draining else { throw AdminFailure("somebody ended the draining", exitCode: 75) }
      // Counting a long queue takes its time, of which the server needs most itself.
      let taken = context.clock.monotonic().since(began)
      if !progress.drained { try await context.output.pause(max(.seconds(1), taken * 4)) }
    }
    try await context.output.progress(
      AdminProgress(done: Int64(most), total: Int64(most), what: "recipients delivered or deferred", isLast: true))
    return progress
  }

  private func progress(_ live: any LiveServer, _ context: AdminContext) async throws(AdminFailure) -> Progress {
    let report = live.report
    let counts = try await context.asking { () async throws(StoreError) in try await context.store.queueCounts() }
    let next = try await context.asking { () async throws(StoreError) in try await context.store.nextDue() }
    let isDue = next.map { $0 <= context.clock.schedule() } ?? false
    let sessions = report.listeners.reduce(0) { $0 + $1.open }
    // How many are due is not counted: while any is, none counts as deferred.
    let left = counts.claimed + (isDue ? counts.waiting : 0)
    return Progress(
      draining: report.draining, sessions: sessions, left: left, deferred: isDue ? 0 : counts.waiting, kept: counts.kept,
      held: counts.held, drained: report.draining && sessions == 0 && left == 0)
  }
}
