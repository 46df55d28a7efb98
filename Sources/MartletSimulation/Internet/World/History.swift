import Outside

/// What the world saw of everybody, told by nobody who is under test: what clients sent and were told, what other hosts took, what lay in
/// mailboxes, which notifications were made, when processes lived. The invariants judge by it.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class History: @unchecked Sendable {
  /// A message that somebody sends.
  struct Sent {
    var token: String
    /// nil: the null path.
    var sender: String?
    var recipients: [String]
    /// What its sender wants to hear of it; nil: nothing was said.
    var notify: Notify?
    /// The server it is handed to.
    var server: String
    var octets: Int
    var fingerprint: UInt64
    /// Recipients that a client was told of as taken, and the id it was told.
    var taken: [(id: String, recipients: [String], at: MonotonicInstant)] = []
    /// Recipients that were refused for good, and so belong to the client again.
    var refused: Set<String> = []
  }

  /// A reply that sent a client away.
  struct Refused {
    var server: String
    /// The address of the client.
    var client: String
    /// nil: the null path.
    var sender: String?
    var recipients: [String]
    var stage: Stage
    var reply: String
    var at: MonotonicInstant

    enum Stage: String { case mail = "MAIL", recipient = "RCPT", message = "DATA" }
  }

  /// A message that a server stored, or had begun to, for a client.
  struct Stored {
    var server: String
    var life: Int
    /// The connection that it came over.
    var wire: Wire
    var begun: MonotonicInstant
    /// nil: its process never heard that it was stored.
    var done: MonotonicInstant?
  }

  /// An acknowledgement that reached whom it was for.
  struct Told {
    var host: String
    var life: Int
    var at: MonotonicInstant
  }

  /// Something that a host of the outside took.
  struct Taken {
    var host: String
    var id: String
    var token: String
    var recipients: [String]
    var sender: String?
    /// The address of the client.
    var client: IPAddress
    var at: MonotonicInstant
    var report: Report?
    var isIntact: Bool
    /// It came whole, and its host hung up without a word.
    var isUnanswered = false
  }

  /// A copy seen in a mailbox.
  struct Copy: Hashable {
    var server: String
    var user: String
    /// The queue id that its bytes have.
    var message: UInt64
    /// Of a notification: that of the message it is about.
    var token: String
    var isReport = false
    /// The mailbox and UID under which it was seen first.
    var uid: UInt32
  }

  /// A notification as it was stored.
  struct Made {
    var server: String
    var life: Int
    var id: String
    var subject: String
    var stage: String
    var recipient: String
    var isForPostmaster: Bool
    var discarded: String?
    var told: [String]
    var at: MonotonicInstant
  }

  /// An outcome that delivery handed to the store.
  struct Handed {
    var server: String
    var life: Int
    var entry: Int64
    var message: String
    var address: String
    var destination: String
    var kind: Kind
    var reply: String
    var at: MonotonicInstant

    enum Kind { case delivered, local, transient, skipped, permanent, held, returned }
  }

  /// One life of a server's process.
  struct Life {
    var server: String
    var number: Int
    var began: MonotonicInstant
    var ended: MonotonicInstant?
  }

  let digest = EventDigest()
  private let clock: VirtualClock
  var sent: [String: Sent] = [:]
  var order: [String] = []
  private(set) var told: [String: Told] = [:]
  /// By id: which messages were stored, at which of the servers and at other hosts.
  private(set) var stored: [String: Stored] = [:]
  /// Acknowledgements that were said, by id, whether they arrived or not.
  var said: Set<String> = []
  private(set) var refusals: [Refused] = []
  /// When the clock of a server was set.
  private(set) var clocksSet: [String: [MonotonicInstant]] = [:]
  private(set) var taken: [Taken] = []
  private(set) var copies: [Copy] = []
  private var seen: Set<Copy> = []
  private(set) var made: [Made] = []
  private(set) var handed: [Handed] = []
  private(set) var lives: [Life] = []
  /// When a server's disk was full, or failed: outcomes could not be recorded then.
  private var troubles: [String: [(from: MonotonicInstant, until: MonotonicInstant)]] = [:]
  /// Recipients that were due, and since when, by server and entry.
  var waits: [Wait] = []
  /// Broken rules that were seen while they were broken.
  var violations: [Violation] = []

  struct Wait {
    var server: String
    var destination: String
    var entry: Int64
    var from: MonotonicInstant
    var until: MonotonicInstant
  }

  init(clock: VirtualClock) { self.clock = clock }

  func waited(_ server: String, _ destination: String, _ entry: Int64, from: MonotonicInstant, until: MonotonicInstant) {
    waits.append(Wait(server: server, destination: destination, entry: entry, from: from, until: until))
  }

  func broken(_ invariant: String, _ what: String) {
    digest.add("broken \(invariant) \(what)")
    violations.append(Violation(invariant: invariant, what: what))
  }

  var now: MonotonicInstant { clock.monotonic() }

  func add(_ message: Sent) {
    sent[message.token] = message
    order.append(message.token)
  }

  /// Bytes that acknowledge `id` reached the process of `host`.
  func acknowledged(_ id: String, to host: NetworkHost, on wire: Wire) {
    digest.add("told \(id) \(host.name)")
    told[id] = Told(host: host.name, life: host.life, at: now)
  }

  /// A server begins to store what came over `wire`, or another host takes it.
  func storing(_ id: String, at server: String, life: Int, on wire: Wire) {
    stored[id] = Stored(server: server, life: life, wire: wire, begun: now)
  }

  /// It is durable, and its server knows.
  func stored(_ id: String) { stored[id]?.done = now }

  func add(_ refused: Refused) {
    digest.add("refused \(refused.server) \(refused.client) \(refused.recipients) \(refused.reply)")
    refusals.append(refused)
  }

  func clockSet(_ server: String) { clocksSet[server, default: []].append(now) }

  func add(_ taken: Taken) {
    digest.add("taken \(taken.host) \(taken.id) \(taken.token) \(taken.recipients)")
    self.taken.append(taken)
  }

  /// False if it had been seen already.
  @discardableResult
  func add(_ copy: Copy) -> Bool {
    guard seen.insert(copy).inserted else { return false }
    digest.add("copy \(copy.server) \(copy.user) \(copy.token) \(copy.uid)")
    copies.append(copy)
    return true
  }

  func add(_ made: Made) {
    digest.add("made \(made.server) \(made.id) \(made.subject) \(made.stage) \(made.recipient)")
    self.made.append(made)
  }

  func add(_ handed: Handed) {
    digest.add("handed \(handed.server) \(handed.message) \(handed.address) \(handed.kind)")
    self.handed.append(handed)
  }

  // MARK: Lives

  func began(_ server: String, _ number: Int) {
    digest.add("began \(server) \(number)")
    lives.append(Life(server: server, number: number, began: now))
  }

  func ended(_ server: String, _ number: Int) {
    digest.add("ended \(server) \(number)")
    if let index = lives.lastIndex(where: { $0.server == server && $0.number == number }) { lives[index].ended = now }
  }

  func trouble(_ server: String, from: MonotonicInstant, until: MonotonicInstant) {
    troubles[server, default: []].append((from, until))
  }

  /// Whether a life of the server ended within these moments.
  func died(_ server: String, from: MonotonicInstant, until: MonotonicInstant) -> Bool {
    lives.contains { life in life.server == server && life.ended.map { $0 >= from && $0 <= until } ?? false }
  }

  /// Whether the server's disk took nothing at some time within these moments.
  func hadTrouble(_ server: String, from: MonotonicInstant, until: MonotonicInstant) -> Bool {
    troubles[server]?.contains { $0.from <= until && $0.until >= from } ?? false
  }

  /// When the last trouble ended that the server's disk had at some time within these moments; nil: there was none.
  func troubleEnds(_ server: String, from: MonotonicInstant, until: MonotonicInstant) -> MonotonicInstant? {
    troubles[server]?.filter { $0.from <= until && $0.until >= from }.map(\.until).max()
  }

  func life(_ server: String, _ number: Int) -> Life? { lives.last { $0.server == server && $0.number == number } }
}

/// A broken rule: which invariant, and what happened.
public struct Violation: Hashable, Sendable, Codable {
  public var invariant: String
  public var what: String
}
