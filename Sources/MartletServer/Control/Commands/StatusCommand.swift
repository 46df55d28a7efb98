import Configuration
import MailModel
import MailStore

/// `martlet status`
public struct ShowStatus: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool) { self.isJSON = isJSON }

  struct Status: Encodable {
    var version: String
    var hostname: String
    var data: String
    var running: Bool
    /// Seconds by which the wall clock left the course that schedules keep; 0 while all is well.
    var clockJump: Int64
    var server: LiveReport?
    var store: StoreCondition?
    /// Permanent failures are kept, and what is refused is refused for a while only.
    var softBounce: Bool
    var queue: CountQueue.Counts
    var domains: Int
    var accounts: Int
    var aliases: Int
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let condition = (context.store as? SQLiteStore)?.condition
    if !isJSON, let condition { try await Self.say(condition, context) }
    let counts = try await context.asking { () async throws(StoreError) in try await context.store.queueCounts() }
    let contents = try await context.directory()
    let status = Status(
      version: MartletVersion.text, hostname: context.configuration.hostname, data: context.configuration.data,
      running: context.live != nil,
      clockJump: context.clock.now().since(context.clock.schedule()).components.seconds, server: context.live?.report,
      store: condition, softBounce: context.configuration.queue.softBounces, queue: .init(counts),
      domains: contents.domains.count,
      accounts: contents.accounts.count, aliases: contents.aliases.count)
    if isJSON { return try await context.sayJSON(status) }
    try await context.say("Martlet \(status.version) on \(status.hostname), data in \(status.data)")
    if status.clockJump != 0 {
      try await context.say(
        "the system's clock jumped by \(status.clockJump) s: retries, lifetimes and retention keep their old course for a day")
    }
    if let server = status.server {
      try await context.say("running as process \(server.process) since \(Self.span(server.uptime))")
      if server.draining {
        try await context.say("draining: no mail is taken, what waits is delivered; \"martlet drain --off\" ends that")
      }
      var table = TextTable(("LISTENER", .left), ("ADDRESS", .left), ("OPEN", .right), ("ACCEPTED", .right), ("REFUSED", .right))
      for listener in server.listeners {
        table.add(listener.protocol, listener.address, "\(listener.open)", "\(listener.accepted)", "\(listener.refused)")
      }
      try await context.say(table, orElse: "no listeners")
      if server.shedSessions > 0 || server.refusedConnections > 0 {
        try await context.say("\(server.shedSessions) idle sessions shed, \(server.refusedConnections) connections refused")
      }
      if server.droppedNotes > 0 {
        try await context.say("\(server.droppedNotes) refusals are missing in the trace: too many at once")
      }
    } else {
      try await context.say("not running")
    }
    try await context.say(
      "queue: \(counts.messages) messages; recipients: \(counts.waiting) waiting, \(counts.held) held, \(counts.claimed) active")
    if status.softBounce { try await context.say("soft-bounce mode: permanent failures are kept, nothing is returned") }
    if counts.kept > 0 { try await context.say("\(counts.kept) recipients are kept after a permanent failure") }
    try await context.say("\(status.domains) domains, \(status.accounts) accounts, \(status.aliases) aliases")
  }

  /// What a postmaster must know first; nothing while all is well.
  private static func say(_ condition: StoreCondition, _ context: AdminContext) async throws(AdminFailure) {
    if condition.state != "ok" { try await context.say("the store is \(condition.state): \(condition.reason)") }
    for damage in condition.damage { try await context.say("damaged: \(damage)") }
  }

  private static func span(_ seconds: Int64) -> String {
    switch seconds {
    case ..<120: "\(seconds) s"
    case ..<7_200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3_600) h"
    default: "\(seconds / 86_400) days"
    }
  }
}

/// The release.
public enum MartletVersion {
  /// As `martlet version` says it.
  public static let text = "0.1.0"
}
