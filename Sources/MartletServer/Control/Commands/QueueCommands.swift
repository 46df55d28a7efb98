import Configuration
import InternetMessage
import MailModel
import MailStore
import Routing

/// Which recipients a queue command means, in words.
public struct QueueWords: Hashable, Sendable {
  public var ids: [String]
  public var sender: String?
  public var recipient: String?
  public var domain: String?

  public init(ids: [String] = [], sender: String? = nil, recipient: String? = nil, domain: String? = nil) {
    self.ids = ids
    self.sender = sender
    self.recipient = recipient
    self.domain = domain
  }

  var isEmpty: Bool { ids.isEmpty && sender == nil && recipient == nil && domain == nil }

  func selection() throws(AdminFailure) -> QueueSelection {
    var found: [QueueID] = []
    for text in ids { found.append(try Self.id(text)) }
    return QueueSelection(ids: found, sender: sender, recipient: recipient, domain: try domain.map(DomainWords.name))
  }

  static func id(_ text: String) throws(AdminFailure) -> QueueID {
    guard let id = QueueID(text) else { throw AdminFailure("\(text) is not a queue id (13 letters and digits)", exitCode: 64) }
    return id
  }
}

/// A queued message as scripts read it.
struct QueueRow: Encodable {
  struct Recipient: Encodable {
    var address: String
    var state: String
    var attempts: UInt32
    var nextAttempt: String
    var lastReply: String
  }

  var id: String
  /// Empty for the null path.
  var sender: String
  var received: String
  var size: Int
  var recipients: [Recipient]

  init(_ message: QueuedMessage) {
    id = message.id.description
    sender = message.envelope.reversePath?.wire ?? ""
    received = message.received.iso8601
    size = message.size
    recipients = message.entries.map { entry in
      Recipient(
        address: entry.address.wire, state: Self.state(entry.state), attempts: entry.attempts,
        nextAttempt: entry.nextAttempt.iso8601,
        lastReply: entry.lastReply)
    }
  }

  /// `waiting`, `held`, or `active` while an attempt runs.
  static func state(_ state: QueueEntry.State) -> String {
    switch state {
    case .waiting: "waiting"
    case .held: "held"
    case .claimed: "active"
    }
  }
}

/// `martlet queue list`
public struct ListQueue: AdminCommand {
  public var words: QueueWords
  public var isJSON: Bool

  public init(words: QueueWords, isJSON: Bool) {
    self.words = words
    self.isJSON = isJSON
  }

  /// Messages asked of the store at a time.
  static let page = 500

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let selection = try words.selection()
    var after: QueueID?
    var messages: [QueuedMessage] = []
    while true {
      let start = after
      let found = try await context.asking { () async throws(StoreError) in
        try await context.store.queue(matching: selection, after: start, limit: Self.page)
      }
      messages += found
      guard let last = found.last, found.count == Self.page else { break }
      after = last.id
    }
    if isJSON { return try await context.sayJSON(messages.map(QueueRow.init)) }
    try await say(messages, context)
  }

  private func say(_ messages: [QueuedMessage], _ context: AdminContext) async throws(AdminFailure) {
    var table = TextTable(
      ("ID", .left), ("RECEIVED", .left), ("SIZE", .right), ("SENDER", .left), ("RECIPIENT", .left), ("STATE", .left),
      ("TRIES", .right),
      ("NEXT", .left), ("LAST REPLY", .left))
    for message in messages {
      for (position, entry) in message.entries.enumerated() {
        let next = entry.state == .waiting ? context.relative(entry.nextAttempt) : ""
        let isFirst = position == 0
        table.add(
          isFirst ? message.id.description : "", isFirst ? context.readable(message.received) : "",
          isFirst ? ByteCount(octets: Int64(message.size)).description : "",
          isFirst ? "<\(message.envelope.reversePath?.wire ?? "")>" : "", entry.address.wire, QueueRow.state(entry.state),
          "\(entry.attempts)", next, entry.lastReply)
      }
    }
    try await context.say(table, orElse: "the queue is empty")
  }
}

/// `martlet queue show`
public struct ShowQueued: AdminCommand {
  public var id: String
  public var isJSON: Bool

  public init(id: String, isJSON: Bool) {
    self.id = id
    self.isJSON = isJSON
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let id = try QueueWords.id(self.id)
    let found = try await context.asking { () async throws(StoreError) in
      try await context.store.queue(matching: QueueSelection(ids: [id]), after: nil, limit: 1)
    }
    guard let message = found.first else {
      throw AdminFailure("\(id) is not in the queue; \"martlet trace \(id)\" tells where it went")
    }
    if isJSON { return try await context.sayJSON(QueueRow(message)) }
    try await context.say("id        \(message.id)")
    try await context.say("sender    <\(message.envelope.reversePath?.wire ?? "")>")
    try await context.say("received  \(context.readable(message.received)), \(context.relative(message.received))")
    try await context.say("size      \(ByteCount(octets: Int64(message.size)))")
    for entry in message.entries {
      try await context.say("recipient \(entry.address.wire)")
      try await context.say(
        "  state   \(QueueRow.state(entry.state)), \(entry.attempts) attempts, destination \(NextHopText.redacted(entry.destination))"
      )
      if entry.state == .waiting {
        try await context.say("  next    \(context.readable(entry.nextAttempt)), \(context.relative(entry.nextAttempt))")
      }
      if !entry.lastReply.isEmpty { try await context.say("  last    \(String.escaped(entry.lastReply.utf8, limit: 2_000))") }
    }
    let events = try await context.asking { () async throws(StoreError) in try await context.store.trace(of: id) }
    try await TraceText.say(events, context)
  }
}

/// `martlet queue retry|hold|release|remove|reroute|flush`
public struct ActOnQueue: AdminCommand {
  public enum Deed: Hashable, Sendable {
    case retry
    case hold
    case release
    case remove
    case reroute(to: String)

    /// Whether an attempt that runs keeps it from being done.
    var countsOnlyAtRest: Bool {
      switch self {
      case .hold, .remove, .reroute: true
      case .retry, .release: false
      }
    }
  }

  public var deed: Deed
  public var words: QueueWords
  /// Everything in the queue is meant.
  public var meansAll: Bool

  public init(deed: Deed, words: QueueWords, meansAll: Bool) {
    self.deed = deed
    self.words = words
    self.meansAll = meansAll
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    if words.isEmpty, !meansAll {
      throw AdminFailure("say which: queue ids, --sender, --recipient, --domain, or --all", exitCode: 64)
    }
    let selection = try words.selection()
    let (action, done) = try action()
    let acted = try await context.asking { () async throws(StoreError) in
      try await context.store.act(action, on: selection, now: context.clock.schedule())
    }
    if acted.count == 0, !words.ids.isEmpty { throw AdminFailure("nothing in the queue matches") }
    var busy = 0
    if deed.countsOnlyAtRest, let live = context.live {
      // What only waits for its turn is taken out before it has it.
      busy = max(acted.leased.count - (await live.withdraw(acted.leased)), 0)
    }
    context.live?.wakeQueue()
    let count = acted.count - busy
    try await context.say("\(count) \(count == 1 ? "recipient" : "recipients") \(done)")
    guard busy > 0 else { return }
    try await context.say("\(busy) \(busy == 1 ? "is" : "are") just being delivered, and will be \(done) if that fails")
  }

  private func action() throws(AdminFailure) -> (QueueAction, String) {
    switch deed {
    case .retry: return (.retry, "due now")
    case .hold: return (.hold, "held")
    case .release: return (.release, "released")
    case .remove: return (.remove, "removed")
    case .reroute(let text):
      do throws(NextHopError) {
        return (.reroute(nextHop: try NextHop(parsing: text).secretText), "rerouted")
      } catch {
        throw AdminFailure(error.description, exitCode: 64)
      }
    }
  }
}

/// `martlet queue counts`
public struct CountQueue: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool) { self.isJSON = isJSON }

  struct Counts: Encodable {
    var messages: Int
    var waiting: Int
    var held: Int
    var active: Int

    init(_ counts: QueueCounts) {
      messages = counts.messages
      waiting = counts.waiting
      held = counts.held
      active = counts.claimed
    }
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let counts = try await context.asking { () async throws(StoreError) in try await context.store.queueCounts() }
    if isJSON { return try await context.sayJSON(Counts(counts)) }
    try await context.say(
      "\(counts.messages) messages; recipients: \(counts.waiting) waiting, \(counts.held) held, \(counts.claimed) active")
  }
}
