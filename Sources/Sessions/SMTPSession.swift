import Identity
import InternetMessage
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Overload
import Reception
import SMTP

/// One SMTP or LMTP connection: performs the steps of the conversation, asks `Reception`, knows nothing of the RFC.
///
/// Promises: a `250` after a message is written only by way of a `Receipt`, so after the sync; every wait has a deadline; what it
/// holds of a client is bounded by one read, one spool and the limits of the conversation; a session that ends in any way leaves
/// no spool and no place behind.
///
/// Failure: store errors become `4xx` or `552` replies (`StoreReply`), never a close; a broken connection ends it silently, but a
/// message whose last byte was there is stored all the same.
///
/// Confined to the connection's loop; straight-line code, no task of its own.
public final class SMTPSession {
  let listener: SMTPListener
  let connection: Connection
  let started: MonotonicInstant
  var conversation: SMTPConversation<Receipt>
  /// What is done next.
  private var step = SMTPStep.proceed
  var parser: SMTPCommandParser
  var client: Client
  var ticket: Overload.Ticket?
  /// Recipients of the transaction, as judged, in the order of `SMTPMessage.recipients`.
  var judged: [JudgedRecipient] = []
  /// What they lead to.
  var targets: TargetCount
  var intake: Intake?
  /// The reverse path of the transaction; nil is the null path.
  var sender: EmailAddress?
  /// `SIZE=` of the transaction.
  var declaredSize: Int64?
  /// It ends when the message that is coming has been taken.
  var endsSoon = false
  /// Whom the client has shown to be; `identity` says whether that still holds.
  var shownIdentity: Authenticator.Identity?
  /// The store was told that a transaction is under way.
  private var isUnderWay = false
  private var commandsInTurn = 0
  /// When the first byte of an unfinished line came, and how many bytes had come before it: for the minimum rate.
  private var lineStart: (time: MonotonicInstant, received: UInt64)?

  public init(_ listener: SMTPListener, _ connection: Connection) {
    self.listener = listener
    self.connection = connection
    self.started = listener.clock.monotonic()
    self.targets = TargetCount(limit: listener.limits.targets)
    self.client = listener.reception.client(remote: connection.remote, local: connection.local)
    self.parser = SMTPCommandParser(dialect: listener.service.dialect, limits: listener.service.limits)
    self.conversation = SMTPConversation(listener.service)
  }

  /// Serves the connection until it ends.
  ///
  /// Most connections wait most of the time, and a task keeps the largest stack it ever had. So what needs no waiting is done in functions
  /// that are not asynchronous, and this one, which every wait stands on, holds no large value.
  public func run() async {
    defer { letGo() }
    if client.isProxy { guard await takeProxyHeader() else { return connection.abort() } }
    // An answer in clear would confuse a client that expects TLS, so who is shed before TLS is only closed.
    guard admit() else { return connection.close() }
    if listener.isImplicitTLS { guard await beginTLS() else { return connection.close() } }
    beginConversation()
    if spokeEarly { await takeEarlyTalk() } else { step = conversation.start() }
    while true {
      switch advance() {
      case .input: await awaitInput()
      case .pause: await pause()
      case .work: await work()
      case .end: return connection.close()
      }
    }
  }

  @inline(never)
  private func letGo() {
    ticket.map(listener.overload.leave)
    endIntake()
    endTransaction()
  }

  /// What `advance` could not go on without.
  private enum Wait {
    /// The next command, or its end.
    case input
    /// A turn for the others, room in the output, or the conversation's delay.
    case pause
    /// Store, TLS or the bytes of a message.
    case work
    /// Nothing: the connection ends.
    case end
  }

  /// Does all that can be done at once; what to wait for then.
  @inline(never)
  private func advance() -> Wait {
    while true {
      forgetWhatEnded()
      switch step {
      case .proceed:
        if endsSoon, !conversation.holdsBody {
          step = conversation.shutdown()
          continue
        }
        guard let input = parser.next(from: &connection.input) else { return .input }
        lineStart = nil
        let wasInTransaction = conversation.isInTransaction
        let next = conversation.handle(input)
        noteRefusedCommand(input, next, wasInTransaction: wasInTransaction)
        if case .command(.starttls, isLast: false) = input { warnOfInjection() }
        step = next
      case .reply(let reply):
        write(reply)
        step = .proceed
        if isPauseDue() { return .pause }
      case .challenge(let reply):
        write(reply)
        parser.expectsResponse = true
        step = .proceed
      case .replies(let replies):
        for reply in replies { write(reply) }
        step = .proceed
        if isPauseDue() { return .pause }
      case .ask(let question):
        guard let answered = answerAtOnce(question) else { return .work }
        step = answered
      case .receive, .upgradeTLS: return .work
      case .close(let replies):
        for reply in replies { write(reply) }
        return .end
      }
    }
  }

  /// Does what the step says and may have to wait for; `step` is the next one.
  @inline(never)
  private func work() async {
    switch step {
    case .ask(let question):
      step = await answer(question)
    case .receive(let reply, let decoder):
      if let reply { write(reply) }
      step = await receive(decoder)
    case .upgradeTLS(let reply):
      write(reply)
      step = await upgradeTLS()
    case .proceed, .reply, .challenge, .replies, .close: break
    }
  }

  /// Lets go of what belongs to a transaction that the conversation no longer has: RSET, EHLO, a new MAIL, XCLIENT, STARTTLS and
  /// refusals all end one, between two chunks too, and nothing of it may get into the next.
  private func forgetWhatEnded() {
    if intake != nil, !conversation.holdsBody { endIntake() }
    guard !conversation.isInTransaction else { return }
    if isUnderWay { endTransaction() }
    if !judged.isEmpty { judged = [] }
    declaredSize = nil
  }

  /// Between MAIL and its commit: then a group of the store may wait a little for this message.
  func beginTransaction() {
    guard !isUnderWay else { return }
    isUnderWay = true
    listener.store.transactionBegan()
  }

  func endTransaction() {
    guard isUnderWay else { return }
    isUnderWay = false
    listener.store.transactionEnded()
  }

  func write(_ reply: SMTPReply) { listener.service.outgoing(reply).write(to: &connection.output) }

  // MARK: Waiting

  /// Whether something comes between a reply and the next command.
  private func isPauseDue() -> Bool {
    commandsInTurn += 1
    return conversation.delay > .zero || connection.output.readableBytes >= listener.limits.output
      || commandsInTurn >= listener.limits.commandsPerTurn
  }

  /// The conversation's delay, room for output, a turn for the others.
  @inline(never)
  private func pause() async {
    if conversation.delay > .zero {
      connection.flush()
      await listener.sleeper.sleep(until: listener.clock.monotonic().advanced(by: conversation.delay))
    }
    if connection.output.readableBytes >= listener.limits.output {
      let deadline = listener.clock.monotonic().advanced(by: listener.limits.command)
      guard await connection.drain(until: deadline) else {
        step = .close([])
        return
      }
      commandsInTurn = 0
    } else if commandsInTurn >= listener.limits.commandsPerTurn {
      commandsInTurn = 0
      await Task.yield()
    }
  }

  /// Waits for more input, or sets the step that the wait's end leads to.
  @inline(never)
  private func awaitInput() async {
    commandsInTurn = 0
    let now = listener.clock.monotonic()
    guard mayWait(since: now) else { return }
    let wake = await connection.receive(until: commandDeadline(now))
    ticket?.works()
    woke(wake, since: now)
  }

  @inline(never)
  private func mayWait(since now: MonotonicInstant) -> Bool {
    // What has begun is finished first (never half a message); then the place is another's.
    guard !connection.isShed || conversation.holdsBody else {
      step = conversation.shed()
      return false
    }
    if !conversation.holdsBody { ticket?.waits(since: now) }
    return true
  }

  @inline(never)
  private func woke(_ wake: Connection.Wake, since now: MonotonicInstant) {
    switch wake {
    case .data:
      if lineStart == nil { lineStart = (listener.clock.monotonic(), connection.bytesReceived) }
    case .closed: step = cutOffBetweenChunks("the connection was lost") { _ in .close([]) } ?? .close([])
    case .deadline:
      // Being shed ends the wait too.
      if connection.isShed, listener.clock.monotonic() < commandDeadline(now) { return }
      step = cutOffBetweenChunks("nothing came for too long") { $0.deadlinePassed() } ?? .proceed
    case .shutdown: step = cutOffBetweenChunks("the server was stopped") { $0.shutdown() } ?? .proceed
    }
  }

  /// The moment at which waiting for a command ends: the idle limit, the session's end, or the end of patience with a line that drips in.
  private func commandDeadline(_ now: MonotonicInstant) -> MonotonicInstant {
    let deadline = min(now.advanced(by: listener.limits.command), started.advanced(by: listener.limits.session))
    guard let lineStart else { return deadline }
    let received = connection.bytesReceived &- lineStart.received
    return min(deadline, listener.limits.patience(since: lineStart.time, received: received))
  }

  // MARK: Beginnings

  @inline(never)
  private func beginConversation() {
    conversation = SMTPConversation(listener.service, tls: connection.tls, mayUseXCLIENT: client.mayUseXCLIENT)
    conversation.isTrusted = client.isTrusted
    client.tls = connection.tls
  }

  /// Behind a proxy or implicit TLS the client may have spoken before we could listen; that is no early talk (HOSTILE 7).
  private var spokeEarly: Bool { !client.cameByProxy && connection.tls == nil && connection.hasEarlyInput }

  /// What was said decides whether a word is due (HOSTILE 8 and 13). It has come already, so nobody waits.
  private func takeEarlyTalk() async {
    if connection.input.readableBytes == 0 { _ = await connection.receive(until: listener.clock.monotonic()) }
    step = conversation.earlyTalk(ProtocolGuess.foreign(in: connection.input))
  }

  @inline(never)
  private func admit() -> Bool {
    let connection = connection
    // XCLIENT names whose share it is; who may use a Unix socket, its file's mode says.
    let isExempt = client.isTrusted || client.mayUseXCLIENT || client.isLocal
    switch listener.overload.admit(client.remote, isExempt: isExempt, shed: { connection.shed() }) {
    case .admitted(let ticket):
      self.ticket = ticket
      return true
    case .tooManyFromClient:
      refuse(tooManyFromClient)
      return false
    case .tooManyInAll:
      refuse(
        SMTPReply(421, EnhancedStatusCode(.transient, 3, 2), "Too many connections, try again later"))
      return false
    }
  }

  private var tooManyFromClient: SMTPReply {
    SMTPReply(421, EnhancedStatusCode(.transient, 7, 0), "Too many connections from your address")
  }

  /// Takes the client that a trusted peer speaks for: its trust, and its share of connections and messages.
  func take(_ attributes: XCLIENTAttributes) -> SMTPStep {
    client = listener.reception.client(client, taking: attributes)
    conversation.isTrusted = client.isTrusted
    guard attributes.address != nil, let ticket else { return conversation.answer(.accept) }
    guard listener.overload.reassign(ticket, to: client.remote, isExempt: client.isTrusted) else {
      listener.log.notice(
        "connection refused", metadata: ["client": "\(client.addressText)", "reply": "\(tooManyFromClient)", "by": "XCLIENT"])
      return conversation.answer(.refuseAndClose(tooManyFromClient))
    }
    return conversation.answer(.accept)
  }

  private func refuse(_ reply: SMTPReply) {
    let reply = reply.named(listener.service.hostname)
    if !listener.isImplicitTLS { write(reply) }
    listener.log.notice("connection refused", metadata: ["client": "\(client.addressText)", "reply": "\(reply)"])
  }

  /// Takes the PROXY header that a configured proxy puts in front (HOSTILE 13). False: close without a reply.
  private func takeProxyHeader() async -> Bool {
    let deadline = started.advanced(by: listener.limits.proxyHeader)
    while true {
      do throws(ProxyHeaderError) {
        if let header = try ProxyHeader.take(from: &connection.input) {
          if case .proxied(let source, let destination) = header {
            client = listener.reception.client(remote: source, local: destination)
            client.isProxy = false
            client.cameByProxy = true
          }
          return true
        }
      } catch {
        listener.log.notice("PROXY header refused", metadata: ["client": "\(client.addressText)", "problem": "\(error)"])
        return false
      }
      guard await connection.receive(until: deadline) == .data else { return false }
    }
  }

  /// Implicit TLS (RFC 8314, 3).
  private func beginTLS() async -> Bool {
    guard let context = listener.tls else { return false }
    let deadline = listener.clock.monotonic().advanced(by: listener.limits.handshake)
    // Only a PROXY header can have brought bytes so far; those behind it belong to the handshake.
    let request = TLSRequest(role: .server, context: context, early: connection.input)
    connection.input = ByteBuffer()
    let problem: String
    switch await connection.startTLS(request, until: deadline) {
    case .established: return true
    case .inputNotEmpty: problem = "bytes in clear before it"
    case .failed(let reason): problem = reason
    }
    listener.log.notice("TLS handshake failed", metadata: ["client": "\(client.addressText)", "problem": "\(problem)"])
    return false
  }

  /// STARTTLS: nothing of what was said in clear survives (RFC 3207, 4.2; HOSTILE 5 and 6).
  private func upgradeTLS() async -> SMTPStep {
    guard let context = listener.tls, connection.input.readableBytes == 0 else { return conversation.tlsFailed() }
    let deadline = listener.clock.monotonic().advanced(by: listener.limits.handshake)
    switch await connection.startTLS(TLSRequest(role: .server, context: context), until: deadline) {
    case .established(let facts):
      client.tls = facts
      judged = []
      parser = SMTPCommandParser(dialect: listener.service.dialect, limits: listener.service.limits)
      return conversation.tlsEstablished(facts)
    case .inputNotEmpty:
      warnOfInjection()
      return conversation.tlsFailed()
    case .failed(let problem):
      listener.log.notice("TLS handshake failed", metadata: ["client": "\(client.addressText)", "problem": "\(problem)"])
      return conversation.tlsFailed()
    }
  }
}

extension SMTPSession {
  /// Bytes in clear that were to count after the switch (HOSTILE 5): nobody sends them by mistake.
  fileprivate func warnOfInjection() {
    listener.log.warning("commands in clear behind STARTTLS", metadata: ["client": "\(client.addressText)"])
  }
}

extension SessionLimits {
  /// When patience ends with a line or message that began at `start` and of which `received` octets came: at the minimum rate.
  func patience(since start: MonotonicInstant, received: UInt64) -> MonotonicInstant {
    guard minimumRate > 0 else { return .never }
    let earned = Duration.seconds(Int64(clamping: min(received / minimumRate, 1_000_000)))
    return start.advanced(by: rateGrace).advanced(by: earned)
  }
}
