import MailStore
import NIOCore
import Outside
import Routing
import SMTP

/// One connection to a host with its conversation: performs the steps of `SMTPClient`.
///
/// Every wait has its deadline (RFC 5321, 4.5.3.2), and each transaction a total one, so that a host that drips bytes frees its
/// place.
///
/// `@unchecked Sendable` is true since one thread alone touches it: the opening or worker that holds it runs as one task on delivery's
/// loop, which `Scheduler.confine` checks. An opening hands it to its worker once, within that task; both keep it to themselves.
final class Transport: @unchecked Sendable {
  /// What the worker has to do something about.
  enum Event {
    case ready
    /// The next transaction may be started behind the end of the one under way.
    case mayStart
    case completed(SMTPTransactionResult)
    case sendBody(id: UInt64, SMTPBodyFraming)
    case ended(SMTPClientFailure?)
  }

  let connection: Connection
  let place: HostPlace
  /// The local address that was asked for; nil: the system chose.
  let source: IPAddress?
  /// The name it goes by, where that is not this host's own.
  let helo: String?
  private(set) var client: SMTPClient
  private var parser = SMTPReplyParser()
  private let times: DeliveryTimes
  private let clock: any Clock
  private let recorder: Recorder
  private let tls: TLSRequest?
  /// When the transaction under way must be over.
  private var transactionEnd = MonotonicInstant.never
  /// Messages that ended on it.
  var transactions = 0
  /// What TLS came to, for the trace.
  private(set) var tlsResult = "none"
  private(set) var tlsFailed = false
  /// Why a connection that breaks does.
  private var loss = "connection closed by the host"

  init(
    connection: Connection, place: HostPlace, source: IPAddress?, helo: String?, settings: SMTPClientSettings, tls: TLSRequest?,
    times: DeliveryTimes, clock: any Clock, recorder: Recorder
  ) {
    self.connection = connection
    self.place = place
    self.source = source
    self.helo = helo
    self.client = SMTPClient(settings)
    self.tls = tls
    self.times = times
    self.clock = clock
    self.recorder = recorder
  }

  var host: Route.Host { place.host }
  var endpoint: Endpoint { place.endpoint }

  /// Starts a transaction; its clock runs.
  func start(_ transaction: SMTPClientTransaction) {
    let extra = Duration.seconds(60) * (transaction.size / 1_048_576)
    let end = clock.monotonic().advanced(by: times.transaction + extra)
    transactionEnd = client.isBusy ? max(transactionEnd, end) : end
    client.start(transaction)
  }

  func quit() { client.quit() }

  /// Ends the conversation where it is, by our own decision.
  func cut() {
    loss = "cut off here, since this server is stopping"
    connection.abort()
  }

  /// Speaks with the host until there is something for the worker to do.
  func advance() async -> Event {
    while true {
      switch client.step(into: &connection.output) {
      case .receive(let stage):
        let couldStart = client.canStart
        await receive(stage)
        if !couldStart, client.isBusy, client.canStart { return .mayStart }
      case .startTLS: await startTLS()
      case .sendBody(let id, let framing): return .sendBody(id: id, framing)
      case .completed(let result):
        transactions += 1
        return .completed(result)
      case .ready: return .ready
      case .end(let failure):
        failure == nil ? connection.close() : connection.abort()
        return .ended(failure)
      }
    }
  }

  private func receive(_ stage: SMTPClientStage) async {
    var isSettled = false
    do throws(SMTPReplyError) {
      while true {
        if let reply = try parser.next(from: &connection.input) { return client.received(reply) }
        if !isSettled, recorder.hasPending {
          // A read that was asked for earlier may bring bytes meanwhile: look again.
          isSettled = true
          await settle()
          continue
        }
        var deadline = clock.monotonic().advanced(by: duration(stage))
        if client.isBusy { deadline = min(deadline, transactionEnd) }
        switch await connection.receive(until: deadline) {
        case .data, .shutdown: continue
        case .closed:
          // What came before the close is still to be read.
          if connection.input.readableBytes > 0, let reply = try parser.next(from: &connection.input) {
            return client.received(reply)
          }
          return client.connectionLost(loss)
        case .deadline:
          guard clock.monotonic() >= deadline else { continue }
          return client.connectionLost("no answer in time")
        }
      }
    } catch {
      client.connectionLost("the host's reply can't be read: \(error)")
    }
  }

  private func startTLS() async {
    guard let tls else { return client.tlsFailed("no TLS is configured") }
    switch await connection.startTLS(tls, until: clock.monotonic().advanced(by: times.handshake)) {
    case .established(let facts):
      tlsResult = "\(facts.version) \(facts.cipher)" + (facts.isPeerVerified ? " verified" : "")
      client.tlsEstablished(isVerified: facts.isPeerVerified)
    case .inputNotEmpty:
      // Someone put bytes between the reply and TLS (HOSTILE 40).
      tlsFailed = true
      client.tlsFailed("the host sent something in clear behind its reply to STARTTLS")
    case .failed(let why):
      tlsFailed = true
      client.tlsFailed(why)
    }
  }

  /// Hands over what is to be recorded, before a wait.
  func settle() async {
    guard recorder.hasPending else { return }
    connection.flush()
    await recorder.flush()
  }

  /// Waits for work on an open connection; false if the connection is of no more use. Begins to wait at once.
  func rest(until deadline: MonotonicInstant) async -> Bool {
    guard !isSpoken else { return hangUp() }
    switch await connection.receive(until: deadline) {
    case .deadline, .shutdown: return isSpoken ? hangUp() : true
    case .data, .closed: return hangUp()
    }
  }

  /// The host closed, or spoke unasked: 421 (RFC 5321, 3.8).
  private var isSpoken: Bool { connection.isClosed || connection.input.readableBytes > 0 }

  private func hangUp() -> Bool {
    if let reply = (try? parser.next(from: &connection.input)) ?? nil { client.received(reply) }
    client.connectionLost(loss)
    return false
  }

  // MARK: Bodies

  /// Sends a body that is in memory.
  func send(_ bytes: ByteBuffer, _ framing: SMTPBodyFraming) async {
    guard mayBegin(framing) else { return }
    do throws(DotStuffer.BareLineEnding) {
      try write(bytes, framing)
    } catch {
      return bareLineEnding()
    }
    client.bodySent()
    if connection.output.readableBytes > Connection.writeHighWater { await drain() }
  }

  /// Sends a stored body of `size` octets, page by page, no faster than the host takes it.
  func send(_ size: Int, _ framing: SMTPBodyFraming, page: Int, read: (Range<Int>) async throws(StoreError) -> ByteBuffer) async {
    guard mayBegin(framing) else { return }
    var stuffer = DotStuffer()
    var offset = 0
    while offset < size {
      let bytes: ByteBuffer
      do throws(StoreError) {
        bytes = try await read(offset..<min(offset + max(page, 1), size))
      } catch {
        return bodyUnreadable(error)
      }
      guard bytes.readableBytes > 0, bytes.readableBytes <= size - offset else {
        return client.bodyFailed("451 4.3.0 The stored message is shorter than it was", permanently: false)
      }
      offset += bytes.readableBytes
      do throws(DotStuffer.BareLineEnding) {
        if framing == .chunk {
          connection.output.writeImmutableBuffer(bytes)
        } else {
          try stuffer.write(bytes, to: &connection.output)
        }
      } catch {
        return bareLineEnding()
      }
      guard await drain() else { return }
    }
    if framing == .dotted {
      do throws(DotStuffer.BareLineEnding) { try stuffer.finish(to: &connection.output) } catch { return bareLineEnding() }
    }
    client.bodySent()
  }

  private func write(_ bytes: ByteBuffer, _ framing: SMTPBodyFraming) throws(DotStuffer.BareLineEnding) {
    guard framing == .dotted else {
      connection.output.writeImmutableBuffer(bytes)
      return
    }
    var stuffer = DotStuffer()
    try stuffer.write(bytes, to: &connection.output)
    try stuffer.finish(to: &connection.output)
  }

  /// A reply to the end of a message that has not been sent is a lie (HOSTILE 38).
  private func mayBegin(_ framing: SMTPBodyFraming) -> Bool {
    guard framing == .dotted, connection.input.readableBytes > 0 else { return true }
    client.connectionLost("the host answered before the message was sent")
    return false
  }

  /// The store can't give the body just now: tried again later.
  func bodyUnreadable(_ error: StoreError) {
    client.bodyFailed("451 4.3.0 The stored message can't be read: \(error)", permanently: false)
  }

  private func bareLineEnding() {
    client.bodyFailed("554 5.6.11 The message has a CR or LF that does not end a line", permanently: true)
  }

  /// Waits until most of the output has left; false if the connection broke.
  @discardableResult
  private func drain() async -> Bool {
    let deadline = min(clock.monotonic().advanced(by: times.dataBlock), transactionEnd)
    if await connection.drain(until: deadline) { return true }
    // The host may have said why before it closed.
    if let reply = (try? parser.next(from: &connection.input)) ?? nil, reply.code >= 400 {
      client.bodyFailed("\(reply)", permanently: false)
    } else {
      client.connectionLost(connection.isClosed ? loss : "the message could not be sent in time")
    }
    return false
  }

  private func duration(_ stage: SMTPClientStage) -> Duration {
    switch stage {
    case .connect: times.connect
    case .handshake: times.handshake
    case .greeting: times.greeting
    case .hello, .startTLS, .authentication, .reset: times.hello
    case .mail: times.mail
    case .recipient: times.recipient
    case .data: times.dataStart
    case .body: times.dataBlock
    case .end: times.dataEnd
    case .quit: times.quit
    }
  }
}
