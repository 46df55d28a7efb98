import MartletSimulation
import NIOCore
import Outside
import Synchronization

/// A host that speaks SMTP or LMTP by a script. Only what a test changes is unusual.
final class FakeHost: Sendable {
  struct Script: Sendable {
    var greeting = "220 host.test"
    var keywords = ["PIPELINING", "8BITMIME"]
    /// Replies to command lines that begin so, first match; `nil` text closes the connection.
    var replies: [(prefix: String, reply: String?)] = []
    /// Replies to the end of messages, in turn; the last one stays. `nil` closes the connection.
    var ends: [String?] = ["250 2.0.0 taken"]
    var isLMTP = false
    /// Never says anything.
    var isSilent = false
    /// Takes a message and says nothing to its end.
    var isSilentBehindTheDot = false
    /// How a handshake ends.
    var tls = TLSOutcome.established(TLSFacts(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384"))
    /// Closes after so many messages, while idle.
    var messagesPerConnection = Int.max
    /// Waits so long before each reply.
    var delay = Duration.zero
    /// Says 421 to connections beyond these.
    var mostConnections = Int.max
  }

  struct Message: Sendable {
    var from: String
    var recipients: [String]
    var data: [UInt8]
    var isEncrypted: Bool
  }

  struct Seen: Sendable {
    var connections = 0
    var open = 0
    /// The most that were open at one time.
    var peak = 0
    /// Connections that were told 421 instead of a greeting.
    var turnedAway = 0
    var commands: [String] = []
    var messages: [Message] = []
    /// What came in one write, for each write.
    var writes: [String] = []
    var ends = 0
  }

  let script: Mutex<Script>
  let seen = Mutex(Seen())

  init(_ change: (inout Script) -> Void = { _ in }) {
    var script = Script()
    change(&script)
    self.script = Mutex(script)
  }

  var messages: [Message] { seen.withLock { $0.messages } }
  var commands: [String] { seen.withLock { $0.commands } }
}

/// The host's end of one connection: a driver that answers what is written to it.
///
/// Used on the one thread of the simulation, which makes `@unchecked Sendable` true.
final class FakeHostDriver: ConnectionDriver, @unchecked Sendable {
  private enum Mode { case command, data, chunk(Int, isLast: Bool), closed }

  weak var connection: Connection?
  private let host: FakeHost
  private let executor: SimulatedExecutor
  private var mode = Mode.command
  private var input: [UInt8] = []
  private var pending: [UInt8] = []
  private var wantsRead = false
  private var deadline = MonotonicInstant.never
  private var message = FakeHost.Message(from: "", recipients: [], data: [], isEncrypted: false)
  private var isEncrypted = false
  private var messages = 0
  private var closes = false
  /// Replies that are to come later, in order.
  private var delayed: [String] = []
  /// What still comes in is not looked at.
  private var isDeaf = false

  init(host: FakeHost, executor: SimulatedExecutor) {
    self.host = host
    self.executor = executor
    let script = host.script.withLock { $0 }
    let isTooMany = host.seen.withLock { seen in
      if seen.open > script.mostConnections { seen.turnedAway += 1 }
      return seen.open > script.mostConnections
    }
    guard !script.isSilent else { return }
    say(isTooMany ? "421 4.7.0 host.test too many connections" : script.greeting)
    if isTooMany { hangUp() }
  }

  private func later(_ delay: Duration = .zero, _ work: @escaping @Sendable () -> Void) {
    let executor = executor
    _ = Task(executorPreference: executor) {
      if delay > .zero { await executor.sleep(until: executor.clock.monotonic().advanced(by: delay)) }
      work()
    }
  }

  // MARK: ConnectionDriver

  func requestRead() {
    wantsRead = true
    later { self.deliver() }
  }

  private func deliver() {
    guard wantsRead, let connection else { return }
    if !pending.isEmpty {
      wantsRead = false
      let bytes = ByteBuffer(bytes: pending)
      pending = []
      connection.deliver(bytes)
    } else if closes {
      wantsRead = false
      closes = false
      if case .closed = mode {} else { host.seen.withLock { $0.open -= 1 } }
      mode = .closed
      connection.peerClosed()
    }
  }

  func write(_ bytes: ByteBuffer) {
    host.seen.withLock { $0.writes.append(String(buffer: bytes)) }
    input += Array(bytes.readableBytesView)
    let count = bytes.readableBytes
    later {
      self.connection?.sent(count)
      self.work()
    }
  }

  func setDeadline(_ deadline: MonotonicInstant) {
    self.deadline = deadline
    guard deadline != .never else { return }
    let executor = executor
    _ = Task(executorPreference: executor) {
      await executor.sleep(until: deadline)
      if self.deadline == deadline {
        self.deadline = .never
        self.connection?.deadlinePassed()
      }
    }
  }

  func startTLS(_ request: TLSRequest) {
    let outcome = host.script.withLock { $0.tls }
    later {
      if case .established = outcome { self.isEncrypted = true }
      self.input = []
      self.connection?.tlsFinished(outcome)
    }
  }

  func close(abruptly: Bool) {
    guard case .closed = mode else {
      mode = .closed
      host.seen.withLock { $0.open -= 1 }
      return
    }
  }

  // MARK: The host

  private func say(_ text: String) {
    let delay = host.script.withLock { $0.delay }
    guard delay > .zero else {
      pending += Array((text + "\r\n").utf8)
      return later { self.deliver() }
    }
    delayed.append(text)
    later(delay) {
      guard let next = self.delayed.first else { return }
      self.delayed.removeFirst()
      self.pending += Array((next + "\r\n").utf8)
      self.deliver()
    }
  }

  private func hangUp() {
    closes = true
    isDeaf = true
    later { self.deliver() }
  }

  private func work() {
    while !input.isEmpty, !isDeaf {
      switch mode {
      case .closed: return
      case .command:
        guard let end = input.firstIndex(of: 0x0A) else { return }
        let line = String(decoding: input[..<end].filter { $0 != 0x0D }, as: UTF8.self)
        input.removeSubrange(...end)
        command(line)
      case .data:
        guard let end = Self.endOfData(input) else { return }
        message.data = Self.unstuffed(Array(input[..<end]))
        input.removeSubrange(..<min(end + 3, input.count))
        mode = .command
        finish()
      case .chunk(let count, let isLast):
        guard input.count >= count else { return }
        message.data += input[..<count]
        input.removeSubrange(..<count)
        mode = .command
        if message.recipients.isEmpty { say("503 5.5.1 no recipients") } else if isLast { finish() } else { say("250 2.0.0 chunk") }
      }
    }
  }

  private func command(_ line: String) {
    let script = host.script.withLock { $0 }
    host.seen.withLock { $0.commands.append(line) }
    guard !script.isSilent else { return }
    let upper = line.uppercased()
    var reply: String? = "250 2.0.0 ok"
    var isScripted = false
    if let found = script.replies.first(where: { line.hasPrefix($0.prefix) }) {
      reply = found.reply
      isScripted = true
    } else if upper.hasPrefix("EHLO") || upper.hasPrefix("LHLO") {
      let lines = ["host.test"] + script.keywords
      reply = lines.enumerated().map { "250\($0.offset == lines.count - 1 ? " " : "-")\($0.element)" }.joined(separator: "\r\n")
    } else if upper == "DATA" {
      reply = message.recipients.isEmpty ? "503 5.5.1 no recipients" : "354 go"
    } else if upper == "QUIT" {
      reply = "221 bye"
    } else if upper == "STARTTLS" {
      reply = "220 go"
    }
    guard let reply else { return hangUp() }
    let isPositive = reply.hasPrefix("2") || reply.hasPrefix("3")
    if isPositive, upper.hasPrefix("MAIL") {
      message = FakeHost.Message(from: Self.path(line), recipients: [], data: [], isEncrypted: isEncrypted)
    }
    if isPositive, upper.hasPrefix("RCPT") { message.recipients.append(Self.path(line)) }
    if upper == "DATA", reply.hasPrefix("354") { mode = .data }
    if upper.hasPrefix("BDAT"), !isScripted {
      let words = upper.split(separator: " ")
      mode = .chunk(words.count > 1 ? Int(words[1]) ?? 0 : 0, isLast: upper.hasSuffix("LAST"))
      return
    }
    say(reply)
    if upper == "QUIT" { hangUp() }
  }

  private func finish() {
    let script = host.script.withLock { $0 }
    guard !script.isSilentBehindTheDot else { return }
    let replies = (script.isLMTP ? message.recipients : [""]).map { _ in
      host.seen.withLock { seen in
        defer { seen.ends += 1 }
        return script.ends[min(seen.ends, script.ends.count - 1)]
      }
    }
    guard !replies.contains(nil) else { return hangUp() }
    if replies.contains(where: { $0?.hasPrefix("250") == true }) { host.seen.withLock { $0.messages.append(message) } }
    for reply in replies { say(reply ?? "") }
    message.recipients = []
    messages += 1
    if messages >= script.messagesPerConnection { hangUp() }
  }

  private static func path(_ line: String) -> String {
    guard let start = line.firstIndex(of: "<"), let end = line.firstIndex(of: ">") else { return "" }
    return String(line[line.index(after: start)..<end])
  }

  /// Where the dot of the last line stands.
  private static func endOfData(_ bytes: [UInt8]) -> Int? {
    if bytes.starts(with: [0x2E, 0x0D, 0x0A]) { return 0 }
    guard bytes.count >= 5 else { return nil }
    for index in 0..<(bytes.count - 4)
    where bytes[index] == 0x0D && bytes[index + 1] == 0x0A && bytes[index + 2] == 0x2E && bytes[index + 3] == 0x0D
      && bytes[index + 4] == 0x0A
    {
      return index + 2
    }
    return nil
  }

  private static func unstuffed(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var isLineStart = true
    for byte in bytes {
      if !(isLineStart && byte == 0x2E) { result.append(byte) }
      isLineStart = byte == 0x0A
    }
    return result
  }
}

/// Connects to the hosts of a script; what is not in it refuses.
final class FakeDialer: Dialer {
  enum Place: Sendable {
    case host(FakeHost)
    /// No answer until the deadline.
    case dead
  }

  private let places = Mutex<[String: Place]>([:])
  private let executor: SimulatedExecutor
  let dialled = Mutex<[String]>([])
  /// Where they were to come from.
  let sources = Mutex<[String]>([])

  init(executor: SimulatedExecutor) { self.executor = executor }

  func set(_ endpoint: String, _ place: Place?) { places.withLock { $0[endpoint] = place } }

  func connect(to remote: Endpoint, from source: IPAddress?, until deadline: MonotonicInstant) async -> Result<
    Connection, DialError
  > {
    dialled.withLock { $0.append("\(remote)") }
    sources.withLock { $0.append(source.map { "\($0)" } ?? "") }
    switch places.withLock({ $0["\(remote)"] }) {
    case nil: return .failure(.refused)
    case .dead:
      await executor.sleep(until: deadline)
      return .failure(.timedOut)
    case .host(let host):
      host.seen.withLock {
        $0.connections += 1
        $0.open += 1
        $0.peak = max($0.peak, $0.open)
      }
      let driver = FakeHostDriver(host: host, executor: executor)
      let connection = Connection(remote: remote, local: remote, driver: driver)
      driver.connection = connection
      return .success(connection)
    }
  }
}
