import Glibc
import NIOCore
import Outside

/// Moves the bytes between one socket and its `Connection`, and starts the session.
///
/// autoRead is off: each `requestRead` of the session is one read. What arrives unasked (the kernel's last bytes when the peer
/// ends its direction) is held and handed over one read at a time, so the session's input stays bounded; the kernel's receive
/// buffer bounds what is held. Every event is gathered: the session runs before the handler returns.
///
/// - Confinement: made and used on the thread of its loop only. That is what makes `@unchecked Sendable` true.
/// - Ends: after the channel closed, nothing holds it but a session that has not returned yet.
final class ConnectionHandler: TimerEntry, ChannelInboundHandler, ConnectionDriver, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Phase {
    case open
    /// The session closed; what it wrote is still leaving.
    case flushing(lingers: Bool)
    /// Our direction is closed; what comes is thrown away.
    case lingering(left: Int)
    case closed
  }

  private let home: ServerLoop
  private let clock: any Clock
  private let limits: ServerLimits
  private var context: ChannelHandlerContext?
  private var connection: Connection?

  private var phase = Phase.open
  private var readAsked = false
  private var inputEnded = false
  private var held: ByteBuffer?
  private var moreHeld: [ByteBuffer] = []
  private var lastReadFilled = false
  private var firstBuffer: ByteBuffer?
  private var outstanding = 0

  /// The connection is up: start its session. Called once, gathered.
  private var started: ((Connection) -> Void)?
  /// The channel is closed for good. Called once.
  private var ended: (() -> Void)?

  /// Its place in the table of its owner.
  var tableIndex = -1

  init(
    home: ServerLoop, clock: any Clock, limits: ServerLimits, started: @escaping (Connection) -> Void,
    ended: @escaping () -> Void
  ) {
    self.home = home
    self.clock = clock
    self.limits = limits
    self.started = started
    self.ended = ended
  }

  /// Runs `body` on the connection and then whatever it woke. For the owner's events (shutdown).
  func withConnection(_ body: (Connection) -> Void) {
    guard let connection else { return }
    home.executor.gather { body(connection) }
  }

  /// The connection of a channel that has just become active; nil if it is gone again.
  func activeConnection() -> Connection? {
    if let context, context.channel.isActive { activate(context) }
    return connection
  }

  /// Closes at once, whatever stands.
  func cut() {
    context?.close(promise: nil)
  }

  // MARK: From the channel

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { activate(context) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    finish()
    self.context = nil
  }

  func channelActive(context: ChannelHandlerContext) {
    activate(context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    if firstBuffer == nil, ReadSizer.isFirst(bytes, limits) { firstBuffer = bytes }
    switch phase {
    case .open, .flushing:
      lastReadFilled = bytes.writableBytes == 0
      if held == nil { held = bytes } else { moreHeld.append(bytes) }
    case .lingering(let left):
      let rest = left - bytes.readableBytes
      phase = .lingering(left: rest)
      if rest <= 0 { context.close(promise: nil) }
    case .closed: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if case .lingering = phase {
      context.read()
      return
    }
    guard readAsked else { return }
    home.executor.gather { pump() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .some(.inputClosed) = event as? ChannelEvent else { return }
    inputEnded = true
    if case .lingering = phase {
      context.close(promise: nil)
      return
    }
    home.executor.gather { pump() }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    guard context.channel.isWritable else { return }
    home.executor.gather { reportSent() }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  override func fire() {
    switch phase {
    case .open: connection?.deadlinePassed()
    case .flushing, .lingering: context?.close(promise: nil)
    case .closed: break
    }
  }

  private func activate(_ context: ChannelHandlerContext) {
    guard let started else { return }
    self.started = nil
    // The channel's own copies; the context's properties would cost two system calls.
    let (remoteAddress, localAddress) = (context.channel.remoteAddress, context.channel.localAddress)
    guard let remote = Endpoint(remoteAddress), let local = Endpoint(localAddress) else {
      context.close(promise: nil)
      return
    }
    let connection = Connection(remote: remote, local: local, driver: self)
    self.connection = connection
    home.executor.gather { started(connection) }
  }

  private func finish() {
    started = nil
    guard let ended else { return }
    self.ended = nil
    phase = .closed
    held = nil
    moreHeld = []
    home.wheel.remove(self)
    home.executor.gather { connection?.peerClosed() }
    connection = nil
    ended()
  }

  /// Hands over one read, or the end, if the session waits for it.
  private func pump() {
    guard readAsked, let connection else { return }
    if let bytes = held {
      held = moreHeld.isEmpty ? nil : moreHeld.removeFirst()
      readAsked = false
      connection.deliver(bytes)
    } else if inputEnded {
      readAsked = false
      connection.peerFinished()
    }
  }

  private func reportSent() {
    let count = outstanding
    outstanding = 0
    if count > 0 { connection?.sent(count) }
  }

  // MARK: From the session

  func requestRead() {
    guard !readAsked, case .open = phase else { return }
    readAsked = true
    if held != nil || inputEnded {
      pump()
    } else {
      context?.read()
    }
  }

  func write(_ bytes: ByteBuffer) {
    guard let context, case .open = phase else { return }
    outstanding &+= bytes.readableBytes
    context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    // Up to NIO's own 64 KiB count as sent; above that it becomes unwritable, and tells when it is writable again.
    if context.channel.isWritable { reportSent() }
  }

  func setDeadline(_ deadline: MonotonicInstant) {
    guard case .open = phase else { return }
    home.wheel.set(self, to: deadline)
  }

  func startTLS(_ request: TLSRequest) {
    guard let connection, let context, case .open = phase else { return }
    // What stands here came in clear, before the switch (RFC 3207, 4.2; HOSTILE 5 and 40).
    guard held == nil else {
      connection.tlsFinished(.inputNotEmpty)
      return
    }
    guard !inputEnded else {
      connection.tlsFinished(.failed("the peer closed the connection"))
      return
    }
    guard let stream = OpenSSLStream(request) else {
      connection.tlsFinished(.failed("TLS can't be set up"))
      return
    }
    // A read that stands from before is the handshake's now.
    readAsked = false
    let handler = TLSHandler(stream: stream, limits: limits) { [home] outcome in
      home.executor.gather { connection.tlsFinished(outcome) }
    }
    do {
      try context.pipeline.syncOperations.addHandler(handler, position: .before(self))
      handler.start(early: request.early, context: try context.pipeline.syncOperations.context(handler: handler))
    } catch {
      connection.tlsFinished(.failed("\(error)"))
    }
  }

  func perform(_ job: @escaping @Sendable () -> Void) {
    home.loop.execute { [home] in home.executor.gather(job) }
  }

  var hasUnreadInput: Bool {
    if held != nil { return true }
    let operations = context?.pipeline.syncOperations
    let found = try? operations?.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { descriptor in
      var byte: UInt8 = 0
      return recv(descriptor, &byte, 1, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT)) > 0
    }
    return found ?? false
  }

  func close(abruptly: Bool) {
    guard let context, case .open = phase else { return }
    if abruptly {
      context.close(promise: nil)
      return
    }
    let mayStillSend =
      !inputEnded && (readAsked || lastReadFilled || held != nil || connection.map { $0.input.readableBytes > 0 } ?? false)
    phase = .flushing(lingers: mayStillSend)
    home.wheel.set(self, to: clock.monotonic().advanced(by: limits.closeTime))
    let buffered = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    if buffered == 0 {
      flushed()
    } else {
      let promise = context.eventLoop.makePromise(of: Void.self)
      context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
      promise.futureResult.assumeIsolated().whenComplete { _ in self.flushed() }
    }
  }

  /// What was written has left: close, or first let the peer finish, since the kernel answers bytes that nobody took with a
  /// reset, which may overtake our last reply.
  private func flushed() {
    guard let context, case .flushing(let lingers) = phase else { return }
    guard lingers else {
      context.close(promise: nil)
      return
    }
    phase = .lingering(left: limits.lingerOctets)
    held = nil
    moreHeld = []
    home.wheel.remove(self)
    home.wheel.set(self, to: clock.monotonic().advanced(by: limits.lingerTime))
    context.close(mode: .output, promise: nil)
    if inputEnded { context.close(promise: nil) } else { context.read() }
  }
}
