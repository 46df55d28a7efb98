import Configuration
import InternetMessage
import MailModel
import MailStore
import Outside
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
    return QueueSelection(
      ids: found, sender: try sender.map(Self.reversePath), recipient: try recipient.map(Self.address),
      domain: try domain.map(DomainWords.name))
  }

  private static func reversePath(_ text: String) throws(AdminFailure) -> String {
    text.isEmpty || text == "<>" ? "" : try address(text)
  }

  /// The address without brackets and quotes, as the store compares it.
  private static func address(_ text: String) throws(AdminFailure) -> String {
    let isBracketed = text.utf8.count > 2 && text.utf8.first == 0x3C && text.utf8.last == 0x3E
    do throws(AddressError) {
      let address = try AddressParser(allowsUTF8: true).mailbox(isBracketed ? String(text.dropFirst().dropLast()) : text)
      return "\(address.localPart)@\(address.domain)"
    } catch {
      throw AdminFailure("\(text) is not an address: \(error)", exitCode: 64)
    }
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

  init(_ message: QueuedMessage, clock: any Clock) {
    id = message.id.description
    sender = message.envelope.reversePath?.wire ?? ""
    received = message.received.iso8601
    size = message.size
    recipients = message.entries.map { entry in
      Recipient(
        address: entry.address.wire, state: Self.state(entry), attempts: entry.attempts,
        nextAttempt: clock.wall(of: entry.nextAttempt).iso8601,
        lastReply: entry.lastReply)
    }
  }

  /// `waiting`, `held`, `active` while an attempt runs, or `kept` where it waits after a permanent failure (`[queue] soft-bounce`).
  static func state(_ entry: QueueEntry) -> String {
    switch entry.state {
    case .waiting: entry.isKept ? "kept" : "waiting"
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
    var table = TextTable(
      ("ID", .left), ("RECEIVED", .left), ("SIZE", .right), ("SENDER", .left), ("RECIPIENT", .left), ("STATE", .left),
      ("TRIES", .right),
      ("NEXT", .left), ("LAST REPLY", .left))
    var array = JSONPieces()
    // A queue may be longer than memory: page by page, each after the one before has left.
    while true {
      let start = after
      let page = try await context.asking { () async throws(StoreError) in
        try await context.store.queue(matching: selection, after: start, limit: Self.page)
      }
      guard let last = page.last else { break }
      after = last.id
      if isJSON {
        try await context.write(array.adding(page.map { QueueRow($0, clock: context.clock) }))
      } else {
        for message in page { add(message, to: &table, context) }
        try await context.sayRows(of: &table)
      }
    }
    if isJSON { return try await context.write(array.ending()) }
    if after == nil { try await context.say(words.isEmpty ? "the queue is empty" : "nothing in the queue matches") }
  }

  private func add(_ message: QueuedMessage, to table: inout TextTable, _ context: AdminContext) {
    for (position, entry) in message.entries.enumerated() {
      let next = entry.state == .waiting ? context.relative(context.clock.wall(of: entry.nextAttempt)) : ""
      let isFirst = position == 0
      table.add(
        isFirst ? message.id.description : "", isFirst ? context.readable(message.received) : "",
        isFirst ? ByteCount(octets: Int64(message.size)).description : "",
        isFirst ? "<\(message.envelope.reversePath?.wire ?? "")>" : "", entry.address.wire, QueueRow.state(entry),
        "\(entry.attempts)", next, entry.lastReply)
    }
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
    if isJSON { return try await context.sayJSON(QueueRow(message, clock: context.clock)) }
    try await context.say("id        \(message.id)")
    try await context.say("sender    <\(message.envelope.reversePath?.wire ?? "")>")
    try await context.say("received  \(context.readable(message.received)), \(context.relative(message.received))")
    try await context.say("size      \(ByteCount(octets: Int64(message.size)))")
    for entry in message.entries {
      try await context.say("recipient \(entry.address.wire)")
      try await context.say(
        "  state   \(QueueRow.state(entry)), \(entry.attempts) attempts, destination \(NextHopText.redacted(entry.destination))"
      )
      if entry.state == .waiting {
        try await context.say(
          "  next    \(context.readable(context.clock.wall(of: entry.nextAttempt))), \(context.relative(context.clock.wall(of: entry.nextAttempt)))"
        )
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
    let (acted, busy, failure) = await act(action, on: selection, context)
    context.live?.wakeQueue()
    let count = acted - busy
    let words = "\(count) \(count == 1 ? "recipient" : "recipients") \(done)"
    if var failure {
      if acted > 0 { failure.message += "; \(words) before that, the same command does the rest" }
      throw failure
    }
    if acted == 0, !self.words.ids.isEmpty { throw AdminFailure("nothing in the queue matches") }
    try await context.say(words)
    guard busy > 0 else { return }
    try await context.say("\(busy) \(busy == 1 ? "is" : "are") just being delivered, and will be \(done) if that fails")
  }

  /// Does it in as many transactions as it takes: how many it changed something for, and how many of them are just being delivered. What
  /// comes in meanwhile is not meant.
  private func act(
    _ action: QueueAction, on selection: QueueSelection, _ context: AdminContext
  ) async -> (acted: Int, busy: Int, failure: AdminFailure?) {
    let last = context.store.makeQueueID()
    let now = context.clock.schedule()
    var (count, busy) = (0, 0)
    var place: QueuePlace?
    repeat {
      do throws(StoreError) {
        let acted = try await context.store.act(action, on: selection, now: now, after: place)
        count += acted.count
        place = acted.next
        guard deed.countsOnlyAtRest, let live = context.live, !acted.leased.isEmpty else { continue }
        // What only waits for its turn is taken out before it has it.
        busy += max(acted.leased.count - (await live.withdraw(acted.leased)), 0)
      } catch {
        return (count, busy, AdminFailure(error))
      }
    } while place.map { $0.message < last } ?? false
    return (count, busy, nil)
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
    /// Of these, kept after a permanent failure.
    var kept: Int

    init(_ counts: QueueCounts) {
      messages = counts.messages
      waiting = counts.waiting
      held = counts.held
      active = counts.claimed
      kept = counts.kept
    }
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let counts = try await context.asking { () async throws(StoreError) in try await context.store.queueCounts() }
    if isJSON { return try await context.sayJSON(Counts(counts)) }
    try await context.say(
      "\(counts.messages) messages; recipients: \(counts.waiting) waiting, \(counts.held) held, \(counts.claimed) active")
  }
}
