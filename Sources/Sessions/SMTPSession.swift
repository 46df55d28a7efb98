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
  public func run() async {
    defer {
      endIntake()
      endTransaction()
    }
    guard await takeProxyHeader() else { return connection.abort() }
    // An answer in clear would confuse a client that expects TLS, so who is shed before TLS is only closed.
    guard admit() else { return connection.close() }
    defer { ticket.map(listener.overload.leave) }
    guard await beginTLS() else { return connection.close() }
    conversation = SMTPConversation(listener.service, tls: connection.tls, mayUseXCLIENT: client.mayUseXCLIENT)
    conversation.isTrusted = client.isTrusted
    client.tls = connection.tls
    var step = await firstStep()
    while true {
      forgetWhatEnded()
      switch step {
      case .proceed:
        step = await nextInput()
      case .reply(let reply):
        write(reply)
        step = await afterReply()
      case .replies(let replies):
        for reply in replies { write(reply) }
        step = await afterReply()
      case .ask(let question):
        step = await answer(question)
      case .receive(let reply, let decoder):
        if let reply { write(reply) }
        step = await receive(decoder)
      case .upgradeTLS(let reply):
        write(reply)
        step = await upgradeTLS()
      case .close(let replies):
        for reply in replies { write(reply) }
        return connection.close()
      }
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

  func write(_ reply: SMTPReply) { listener.outgoing(reply).write(to: &connection.output) }

  // MARK: Waiting

  /// What follows a reply: the next input, after a turn for the others and the conversation's delay, if it is time for them.
  private func afterReply() async -> SMTPStep {
    commandsInTurn += 1
    if conversation.delay > .zero {
      connection.flush()
      await listener.sleeper.sleep(until: listener.clock.monotonic().advanced(by: conversation.delay))
    }
    if connection.output.readableBytes >= listener.limits.output {
      let deadline = listener.clock.monotonic().advanced(by: listener.limits.command)
      guard await connection.drain(until: deadline) else { return .close([]) }
      commandsInTurn = 0
    } else if commandsInTurn >= listener.limits.commandsPerTurn {
      commandsInTurn = 0
      await Task.yield()
    }
    return await nextInput()
  }

  /// The step that the next command leads to.
  private func nextInput() async -> SMTPStep {
    while true {
      if endsSoon, !conversation.holdsBody { return conversation.shutdown() }
      if let input = parser.next(from: &connection.input) {
        lineStart = nil
        return conversation.handle(input)
      }
      commandsInTurn = 0
      // What has begun is finished first (never half a message); then the place is another's.
      if connection.isShed, !conversation.holdsBody { return conversation.shed() }
      let now = listener.clock.monotonic()
      if !conversation.holdsBody { ticket?.waits(since: now) }
      let wake = await connection.receive(until: commandDeadline(now))
      ticket?.works()
      switch wake {
      case .data:
        if lineStart == nil {
          lineStart = (listener.clock.monotonic(), connection.bytesReceived)
        }
      case .closed: return .close([])
      case .deadline:
        // Being shed ends the wait too.
        if connection.isShed, listener.clock.monotonic() < commandDeadline(now) { continue }
        return conversation.deadlinePassed()
      case .shutdown:
        let step = conversation.shutdown()
        if case .proceed = step { continue }
        return step
      }
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

  private func firstStep() async -> SMTPStep {
    // Behind a proxy or implicit TLS the client may have spoken before we could listen; that is no early talk (HOSTILE 7).
    guard !client.cameByProxy, connection.tls == nil, connection.hasEarlyInput else { return conversation.start() }
    // What was said decides whether a word is due (HOSTILE 8 and 13). It has come already, so nobody waits.
    if connection.input.readableBytes == 0 { _ = await connection.receive(until: listener.clock.monotonic()) }
    return conversation.earlyTalk(ProtocolGuess.foreign(in: connection.input))
  }

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
        SMTPReply(421, EnhancedStatusCode(.transient, 3, 2), "\(listener.service.hostname) Too many connections, try again later"))
      return false
    }
  }

  private var tooManyFromClient: SMTPReply {
    SMTPReply(421, EnhancedStatusCode(.transient, 7, 0), "\(listener.service.hostname) Too many connections from your address")
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
    if !listener.isImplicitTLS { write(reply) }
    listener.log.notice("connection refused", metadata: ["client": "\(client.addressText)", "reply": "\(reply)"])
  }

  /// Takes the PROXY header that a configured proxy puts in front (HOSTILE 13). False: close without a reply.
  private func takeProxyHeader() async -> Bool {
    guard client.isProxy else { return true }
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

  /// Implicit TLS (RFC 8314, 3). True if there is nothing to do.
  private func beginTLS() async -> Bool {
    guard listener.isImplicitTLS else { return true }
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
      listener.log.warning("commands in clear behind STARTTLS", metadata: ["client": "\(client.addressText)"])
      return conversation.tlsFailed()
    case .failed(let problem):
      listener.log.notice("TLS handshake failed", metadata: ["client": "\(client.addressText)", "problem": "\(problem)"])
      return conversation.tlsFailed()
    }
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
