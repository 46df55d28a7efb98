import CSQLite
import InternetMessage
import MailModel
import MailStore
import Outside

/// What the stores of all servers hold at one moment: every message they ever took, its trace, and what is queued of it.
struct Census {
  /// A message at one server.
  struct Message {
    var server: String
    var id: QueueID
    var events: [TraceEvent]
    var queued: [QueueEntry]
    /// What the simulation calls it; empty for notifications.
    var token: String
    /// The address it came from.
    var client: String
    /// What the trace alone says of each recipient.
    var outcomes: TraceOutcomes
  }

  private(set) var messages: [Message] = []
  /// Servers that could not be looked into.
  private(set) var unreadable: [String: String] = [:]
  private var index: [String: Int] = [:]
  private var byID: [String: [Int]] = [:]

  init(_ messages: [Message] = []) { for message in messages { add(message) } }

  /// Looks into every server. All of them must be up.
  static func take(of world: World) async -> Census {
    var census = Census()
    for server in world.servers {
      guard let process = server.process else {
        census.unreadable[server.name] = "it is down"
        continue
      }
      do throws(StoreError) {
        try await census.add(server.name, process.store, vfs: process.vfs.name)
      } catch {
        census.unreadable[server.name] = "\(error)"
      }
    }
    return census
  }

  private mutating func add(_ server: String, _ store: SQLiteStore, vfs: String) async throws(StoreError) {
    var queued: [QueueID: [QueueEntry]] = [:]
    var after: QueueID?
    while true {
      let page = try await store.queue(matching: QueueSelection(), after: after, limit: 500)
      guard let last = page.last else { break }
      for message in page { queued[message.id, default: []] += message.entries }
      after = last.id
    }
    for id in TraceIDs.all(vfs: vfs) {
      let events = try await store.trace(of: id)
      add(Message(server: server, id: id, events: events, queued: queued[id] ?? []))
    }
    // What is queued and has no trace is told by the invariants.
    for (id, entries) in queued.sorted(by: { $0.key < $1.key }) where self[server, "\(id)"] == nil {
      add(Message(server: server, id: id, events: [], queued: entries))
    }
  }

  private mutating func add(_ message: Message) {
    index["\(message.server) \(message.id)"] = messages.count
    byID["\(message.id)", default: []].append(messages.count)
    messages.append(message)
  }

  subscript(server: String, id: String) -> Message? { index["\(server) \(id)"].map { messages[$0] } }

  /// Whatever server has it.
  func anywhere(_ id: String) -> [Message] { (byID[id] ?? []).map { messages[$0] } }

  var queued: Int { messages.reduce(0) { $0 + $1.queued.count } }
}

extension Census.Message {
  init(server: String, id: QueueID, events: [TraceEvent], queued: [QueueEntry]) {
    let received = events.first { $0.kind == .received }
    func detail(_ key: String) -> String { received?.detail.first { $0.key == key }?.value ?? "" }
    let messageID = detail("message-id")
    let isOurs = messageID.hasSuffix("@client.sim")
    self.init(
      server: server, id: id, events: events, queued: queued, token: isOurs ? String(messageID.dropLast(11)) : "",
      client: detail("client"), outcomes: TraceOutcomes(events))
  }

  /// Recipients as the client named them: those that an alias led to are not among them.
  var named: Set<String> {
    let targets = Set(outcomes.expansions.values.joined())
    let others = Set(outcomes.ends.keys).union(queued.map(\.address.plain)).subtracting(targets)
    return others.union(outcomes.expansions.keys)
  }
}

extension EmailAddress {
  /// As the simulation writes addresses.
  var plain: String { "\(localPart)@\(domain)" }
}

/// What became of a message's recipients, from its trace and nothing else.
struct TraceOutcomes {
  enum End: Equatable {
    case delivered
    case relayed(reply: String)
    case bounced(told: Bool)
    case discarded(reason: String)
    case removed
    case held
    /// Went on under another id.
    case expanded(into: String)
  }

  private(set) var ends: [String: End] = [:]
  /// How often each ended.
  private(set) var counts: [String: Int] = [:]
  /// What aliases led to.
  private(set) var expansions: [String: [String]] = [:]
  private(set) var notifications: [String] = []
  private(set) var wasReceived = false
  private(set) var wasRefused = false

  init(_ events: [TraceEvent]) {
    for event in events { take(event) }
  }

  private mutating func take(_ event: TraceEvent) {
    func detail(_ key: String) -> String? { event.detail.first { $0.key == key }?.value }
    if event.kind == .received { wasReceived = true }
    if event.kind == .refused { wasRefused = true }
    if event.kind == .notified, let id = detail("id") { notifications.append(id) }
    guard let recipient = event.recipient else { return }
    switch event.kind {
    case .delivered: end(recipient, .delivered)
    case .relayed: end(recipient, .relayed(reply: detail("reply") ?? ""))
    case .bounced: end(recipient, .bounced(told: detail("told") == nil))
    case .discarded: end(recipient, .discarded(reason: detail("reason") ?? detail("discarded") ?? ""))
    case .removed: end(recipient, .removed)
    case .held: ends[recipient] = .held
    case .expanded:
      if let into = detail("into") {
        end(recipient, .expanded(into: into))
      } else {
        expansions[recipient] = (detail("to") ?? "").split(separator: " ").map(String.init)
      }
    default: break
    }
  }

  private mutating func end(_ recipient: String, _ end: End) {
    ends[recipient] = end
    counts[recipient, default: 0] += 1
  }
}

/// The ids that a store's trace has: no one asks a store for them, but the run must know of what nobody was told.
enum TraceIDs {
  static func all(vfs: String) -> [QueueID] {
    var database: OpaquePointer?
    defer { sqlite3_close_v2(database) }
    guard sqlite3_open_v2("store.db", &database, SQLITE_OPEN_READONLY, vfs) == SQLITE_OK else { return [] }
    var statement: OpaquePointer?
    defer { sqlite3_finalize(statement) }
    guard sqlite3_prepare_v2(database, "SELECT DISTINCT id FROM trace ORDER BY id", -1, &statement, nil) == SQLITE_OK else {
      return []
    }
    var ids: [QueueID] = []
    while sqlite3_step(statement) == SQLITE_ROW {
      ids.append(QueueID(rawValue: UInt64(bitPattern: sqlite3_column_int64(statement, 0))))
    }
    return ids
  }
}
