import NIOCore
import Outside

/// TLS in front of a connection's handler, put there synchronously when the session asks for it.
///
/// It reads by itself until the handshake is done, then only when the handler behind it asks; all ciphertext of one read
/// becomes at most one read of plaintext. While the peer doesn't take what we must answer (key updates), it isn't read from.
///
/// - Bounds: `handshakeOctets` before the handshake's end; its time is the session's deadline.
/// - Fails: a handshake that fails is told once, then nothing passes any more; a broken record ends the connection.
/// - Confinement: the thread of the connection's loop only. That is what makes `@unchecked Sendable` true.
final class TLSHandler: ChannelDuplexHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Phase {
    case handshaking
    case open
    /// The peer said close_notify; we may still write.
    case inputClosed
    case dead
  }

  private let stream: OpenSSLStream
  private let limits: ServerLimits
  private var finished: ((TLSOutcome) -> Void)?
  private var phase = Phase.handshaking
  private var handshakeOctets = 0
  private var firstBuffer: ByteBuffer?
  private var readIsWanted = false
  private var readIsHeld = false

  /// - Parameter finished: told once how the handshake ended.
  init(stream: OpenSSLStream, limits: ServerLimits, finished: @escaping (TLSOutcome) -> Void) {
    self.stream = stream
    self.limits = limits
    self.finished = finished
  }

  /// Begins. Called once, right after it was put into the pipeline.
  ///
  /// - Parameter early: bytes of the handshake that were read already.
  func start(early: ByteBuffer, context: ChannelHandlerContext) {
    if early.readableBytes > 0 { channelRead(context: context, data: wrapInboundOut(early)) }
    if case .handshaking = phase { goOn(context) }
  }

  // MARK: Inbound

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = unwrapInboundIn(data)
    if firstBuffer == nil, ReadSizer.isFirst(bytes, limits) { firstBuffer = bytes }
    switch phase {
    case .handshaking:
      handshakeOctets += bytes.readableBytes
      guard handshakeOctets <= limits.handshakeOctets else {
        die(context, "the handshake is too large")
        return
      }
      stream.receive(bytes)
    case .open: stream.receive(bytes)
    // What follows a close_notify was not protected, or not meant: ignored (RFC 8446, 6.1).
    case .inputClosed, .dead: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    goOn(context)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent {
      switch phase {
      case .handshaking: die(context, "the peer closed the connection")
      case .inputClosed: return
      case .open, .dead: break
      }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    if case .handshaking = phase { die(context, "the peer closed the connection") }
    phase = .dead
    context.fireChannelInactive()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if readIsHeld && context.channel.isWritable {
      readIsHeld = false
      context.read()
    }
    context.fireChannelWritabilityChanged()
  }

  private func goOn(_ context: ChannelHandlerContext) {
    if case .handshaking = phase {
      let progress = stream.handshake()
      sendOutgoing(context)
      switch progress {
      case .wantsMore:
        requestRead(context)
        return
      case .failed(let reason):
        die(context, reason)
        return
      case .done:
        phase = .open
        let told = finished
        finished = nil
        told?(.established(stream.facts()))
      }
    }
    if case .open = phase { decrypt(context) }
  }

  private func decrypt(_ context: ChannelHandlerContext) {
    var plain = ByteBuffer()
    let end = stream.read(into: &plain)
    sendOutgoing(context)
    let isFruitful = plain.readableBytes > 0
    if isFruitful {
      readIsWanted = false
      context.fireChannelRead(wrapInboundOut(plain))
      context.fireChannelReadComplete()
    }
    switch end {
    case .wantsMore:
      // A part of a record came: the read that was asked for isn't answered yet.
      if !isFruitful && readIsWanted { requestRead(context) }
    case .closed:
      guard case .open = phase else { return }
      phase = .inputClosed
      context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    case .failed:
      phase = .dead
      context.close(promise: nil)
    }
  }

  // MARK: Outbound

  func read(context: ChannelHandlerContext) {
    readIsWanted = true
    requestRead(context)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    let plain = unwrapOutboundIn(data)
    switch phase {
    case .open, .inputClosed:
      guard plain.readableBytes == 0 || stream.write(plain) else {
        promise?.fail(ChannelError.ioOnClosedChannel)
        return
      }
      context.write(wrapOutboundOut(stream.takeOutgoing()), promise: promise)
    case .handshaking, .dead:
      promise?.fail(ChannelError.ioOnClosedChannel)
    }
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    switch phase {
    case .open, .inputClosed:
      stream.shutdown()
      sendOutgoing(context)
    case .handshaking, .dead: break
    }
    if mode == .all { phase = .dead }
    context.close(mode: mode, promise: promise)
  }

  private func requestRead(_ context: ChannelHandlerContext) {
    if context.channel.isWritable {
      context.read()
    } else {
      readIsHeld = true
    }
  }

  private func sendOutgoing(_ context: ChannelHandlerContext) {
    let bytes = stream.takeOutgoing()
    if bytes.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
  }

  /// The handshake failed: tells it. The session closes.
  private func die(_ context: ChannelHandlerContext, _ reason: String) {
    phase = .dead
    let told = finished
    finished = nil
    told?(.failed(reason))
  }
}
