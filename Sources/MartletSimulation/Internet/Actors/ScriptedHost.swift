import NIOCore
import Outside

/// A mail host that is not Martlet, with manners of its own. It keeps what it takes, and the world's history knows of it.
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class ScriptedHost: @unchecked Sendable {
  let name: String
  let number: Int
  let host: NetworkHost
  unowned let world: World
  /// How it is when nothing is wrong, and how it is now.
  var manners = HostManners.good
  private var taken = 0
  private let extensions: [String]

  init(number: Int, world: World) {
    self.number = number
    self.world = world
    name = "h\(number)"
    host = NetworkHost(name, World.address(1, number + 1))
    // They differ in what they can.
    var extensions = ["SIZE 1000000", "ENHANCEDSTATUSCODES"]
    if number % 2 == 0 { extensions.append("PIPELINING") }
    if number % 3 == 0 { extensions.append("CHUNKING") }
    if number % 3 != 1 { extensions.append("8BITMIME") }
    if number % 4 < 2 { extensions.append("STARTTLS") }
    if number % 4 == 0 { extensions.append("DSN") }
    self.extensions = extensions
  }

  /// Takes connections from now on.
  func listen() {
    let executor = world.executor
    host.accept = { [weak self] connection, wire in
      _ = Task(executorPreference: executor) { await self?.serve(connection, wire) }
    }
  }

  private struct Transaction {
    var sender: String?
    var recipients: [String] = []
    var hasSender = false
    var body: [UInt8] = []
  }

  private func strikes(_ odds: UInt64, _ kind: FaultKind) -> Bool {
    guard odds > 0, world.random.chance(in: odds) else { return false }
    world.counts.note(kind)
    return true
  }

  private func serve(_ connection: Connection, _ wire: Wire) async {
    let talk = Talk(connection: connection, clock: world.executor.clock)
    defer { connection.close() }
    talk.say("220 \(name).sim ESMTP")
    var transaction = Transaction()
    while let line = await talk.line() {
      let verb = line.prefix { $0 != " " && $0 != ":" }.uppercased()
      wire.patience = verb == "BDAT" ? Duplicates.patience : Duplicates.shorterPatience
      guard await keepsTalking(talk) else { return }
      switch verb {
      case "EHLO": talk.say(hello(connection.tls != nil))
      case "STARTTLS":
        talk.say("220 2.0.0 go ahead")
        let request = TLSRequest(role: .server, context: SimulatedTLS.shared)
        guard case .established = await connection.startTLS(request, until: world.now.advanced(by: .seconds(30))) else { return }
      case "MAIL":
        transaction = Transaction()
        transaction.sender = Self.path(line)
        transaction.hasSender = true
        talk.say("250 2.1.0 ok")
      case "RCPT": recipient(line, &transaction, talk)
      case "DATA":
        guard !transaction.recipients.isEmpty else { talk.say("503 5.5.1 no recipients"); continue }
        talk.say("354 go on")
        guard let body = await dotted(talk) else { return }
        transaction.body = body
        wire.patience = Duplicates.patience
        guard await end(&transaction, talk, wire) else { return }
      case "BDAT":
        let words = line.split(separator: " ")
        guard let size = words.dropFirst().first.flatMap({ Int($0) }), let chunk = await talk.octets(size) else { return }
        transaction.body += chunk
        guard words.count > 2 else { talk.say("250 2.0.0 chunk"); continue }
        guard !transaction.recipients.isEmpty else { talk.say("503 5.5.1 no recipients"); continue }
        guard await end(&transaction, talk, wire) else { return }
      case "RSET":
        transaction = Transaction()
        talk.say("250 2.0.0 ok")
      case "QUIT":
        talk.say("221 2.0.0 bye")
        return
      default: talk.say("250 2.0.0 ok")
      }
    }
  }

  private func hello(_ isProtected: Bool) -> String {
    let offered = extensions.filter { !isProtected || $0 != "STARTTLS" }
    return ["250-\(name).sim"].joined() + "\r\n" + offered.dropLast().map { "250-\($0)\r\n" }.joined()
      + "250 \(offered.last ?? "HELP")"
  }

  /// False if it hangs up here.
  private func keepsTalking(_ talk: Talk) async -> Bool {
    if strikes(manners.drops, .droppedByHost) { return false }
    if strikes(manners.shutdown, .shutdownReply) {
      talk.say("421 4.3.2 not now")
      return false
    }
    if strikes(manners.garbles, .garbledReply) {
      talk.say("what? no, \u{1}\u{2} never")
      return false
    }
    if strikes(manners.slow, .slowHost) {
      // What it has answered is on its way: the client waits for this command's reply, and knows.
      talk.connection.flush()
      await world.executor.sleep(until: world.now.advanced(by: .seconds(10 + Int(clamping: world.random.next(below: 900)))))
    }
    return true
  }

  private func recipient(_ line: String, _ transaction: inout Transaction, _ talk: Talk) {
    guard transaction.hasSender, let path = Self.path(line) else { return talk.say("503 5.5.1 bad sequence") }
    if path.hasPrefix("u3@") {
      world.counts.note(.permanentReply)
      return talk.say("550 5.1.1 no such user")
    }
    if strikes(manners.transient, .transientReply) { return talk.say("450 4.2.1 try later") }
    if strikes(manners.permanent, .permanentReply) { return talk.say("550 5.7.1 not for you") }
    transaction.recipients.append(path)
    talk.say("250 2.1.5 ok")
  }

  /// The address between angle brackets; nil if there is none, or nothing in them.
  private static func path(_ line: String) -> String? {
    guard let open = line.firstIndex(of: "<"), let close = line[open...].firstIndex(of: ">") else { return nil }
    let path = String(line[line.index(after: open)..<close])
    return path.isEmpty ? nil : path
  }

  private func dotted(_ talk: Talk) async -> [UInt8]? {
    var body: [UInt8] = []
    while let line = await talk.line() {
      if line == "." { return body }
      body += Array((line.hasPrefix(".") ? line.dropFirst() : line[...]).utf8) + [0x0D, 0x0A]
    }
    return nil
  }

  /// The end of a message; false if the connection is over.
  private func end(_ transaction: inout Transaction, _ talk: Talk, _ wire: Wire) async -> Bool {
    let whole = transaction
    transaction = Transaction()
    if strikes(manners.transient, .transientReply) {
      talk.say("451 4.3.0 not just now")
      return true
    }
    if strikes(manners.permanent, .permanentReply) {
      talk.say("554 5.7.1 no thanks")
      return true
    }
    if strikes(manners.slow, .slowHost) { await world.executor.sleep(until: world.now.advanced(by: .seconds(200))) }
    taken += 1
    let id = "\(name)x\(taken)"
    // A host that lies has taken the message as far as anybody can know.
    _ = strikes(manners.lies, .lyingHost)
    let hangsUp = strikes(manners.forgets, .forgetfulHost)
    take(whole, id, wire, hangsUp: hangsUp)
    if hangsUp { return false }
    talk.say("250 2.0.0 queued as \(id)")
    return true
  }

  private func take(_ whole: Transaction, _ id: String, _ wire: Wire, hangsUp: Bool) {
    world.history.storing(id, at: name, life: 0, on: wire)
    world.history.stored(id)
    let token = MessageScan.token(in: whole.body)
    let report = MessageScan.report(in: whole.body)
    let sent = world.history.sent[token]
    let isIntact = sent.map { Fingerprint.of(whole.body.suffix($0.octets)) == $0.fingerprint } ?? (report != nil)
    world.history.add(
      History.Taken(
        host: name, id: id, token: report == nil ? token : "", recipients: whole.recipients, sender: whole.sender,
        client: wire.client.host.address, at: world.now, report: report, isIntact: isIntact || report != nil, isUnanswered: hangsUp)
    )
  }
}
