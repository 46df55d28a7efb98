import NIOCore

/// A byte stream to a peer, as straight-line session code sees it: bytes come in, bytes go out, one wait at a time.
///
/// A driver (an NIO handler, or the simulator) pushes what arrives and takes what is to leave; the session consumes `input`,
/// appends to `output`, and waits in `receive`, `drain` or `startTLS`. Output gathers until the session waits or says `flush`.
/// Deadlines, the peer's close and a shutdown arrive as results of the wait; a session is never cancelled.
///
/// - Confinement: everything here is called on the thread of one event loop (the session's task prefers that loop's executor,
///   the driver is a handler of that loop), or on the one thread of a simulation. That is what makes `@unchecked Sendable` true.
/// - Bounds: `input` grows by at most one read (the driver's buffer) a `receive`; `drain` waits while more than
///   `writeHighWater` bytes are on their way.
/// - Continuations: one slot; each is resumed exactly once. A second wait while one stands (a mistake of the session) is
///   answered at once as if the peer had closed.
/// - Nothing is lost: bytes that arrive while nobody waits are told by the next `receive`, as is a close or a shutdown.
public final class Connection: @unchecked Sendable {
  /// What ended a wait for input.
  public enum Wake: Hashable, Sendable {
    /// New bytes stand in `input`.
    case data
    /// The peer sends no more (or the connection broke); bytes that came before it have been delivered. Unless `isBroken`,
    /// replies still reach a peer that only closed its own direction.
    case closed
    /// The deadline passed first.
    case deadline
    /// The server is shutting down; told once, later waits go on as usual.
    case shutdown
  }

  /// Bytes on their way above which `drain` waits: 64 KiB.
  public static let writeHighWater = 65_536

  public let remote: Endpoint
  public let local: Endpoint

  /// Bytes that came and were not consumed yet. The session reads from it (`readSlice`, `readBytes`, `moveReaderIndex`).
  public var input: ByteBuffer

  /// Replies that have not been handed to the driver yet.
  public var output: ByteBuffer

  /// What TLS agreed on, once it has.
  public private(set) var tls: TLSFacts?

  /// Whether no more input will come: the peer ended its direction, the connection broke, or the session closed it.
  public private(set) var isClosed = false

  /// Whether nothing that is written can leave any more. Implies `isClosed`.
  public private(set) var isBroken = false

  /// Whether the server asked its sessions to end.
  public private(set) var isShuttingDown = false

  /// Whether the server asked for the session's place, since it was idle. One that has work by now may do it first.
  public private(set) var isShed = false

  /// Bytes received so far (after TLS). For minimum rates and statistics.
  public private(set) var bytesReceived: UInt64 = 0

  /// Bytes handed to the driver so far.
  public private(set) var bytesSent: UInt64 = 0

  private enum Waiter {
    case nobody
    case input(UnsafeContinuation<Wake, Never>)
    case drain(UnsafeContinuation<Bool, Never>)
    case tls(UnsafeContinuation<TLSOutcome, Never>)
  }

  private var waiter = Waiter.nobody
  private var dataUntold = false
  private var shutdownUntold = false
  private var tlsAsked = false
  private var pendingOutbound = 0
  private let driver: any ConnectionDriver

  public init(remote: Endpoint, local: Endpoint, driver: any ConnectionDriver) {
    self.remote = remote
    self.local = local
    self.driver = driver
    self.input = ByteBuffer()
    self.output = ByteBuffer()
  }

  // MARK: The session's side

  /// Hands gathered output to the driver. Does not wait. What can't leave any more is dropped.
  public func flush() {
    guard output.readableBytes > 0 else { return }
    let bytes = output
    output = ByteBuffer()
    guard !isBroken else { return }
    bytesSent &+= UInt64(bytes.readableBytes)
    pendingOutbound &+= bytes.readableBytes
    driver.write(bytes)
  }

  /// Flushes, then waits for more input than there is.
  ///
  /// Answers at once, in this order: a shutdown not told yet, bytes that came while nobody waited, a close.
  ///
  /// - Parameter deadline: when to give up; `.never` waits for as long as it takes.
  public func receive(until deadline: MonotonicInstant) async -> Wake {
    flush()
    guard isIdle else { return .closed }
    if shutdownUntold {
      shutdownUntold = false
      return .shutdown
    }
    if dataUntold {
      dataUntold = false
      if input.readableBytes > 0 { return .data }
    }
    if isClosed { return .closed }
    // An empty buffer is given back, so that an idle connection holds none.
    if input.readableBytes == 0 { input = ByteBuffer() }
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { continuation in
      waiter = .input(continuation)
      driver.requestRead()
    }
  }

  /// Whether the peer spoke before it was asked to: bytes stand in `input` or wait at the driver. Costs a system call.
  public var hasEarlyInput: Bool { input.readableBytes > 0 || driver.hasUnreadInput }

  /// Flushes, then waits until at most `writeHighWater` bytes are on their way.
  ///
  /// - Returns: false if the peer is gone or `deadline` passed.
  public func drain(until deadline: MonotonicInstant) async -> Bool {
    flush()
    if isBroken || !isIdle { return false }
    if pendingOutbound <= Self.writeHighWater { return true }
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { waiter = .drain($0) }
  }

  /// Flushes, then changes to TLS; nothing is read in between.
  ///
  /// Refused with `.inputNotEmpty` when bytes already stand in `input`, or at the driver: they came in clear and must not be
  /// taken for protected ones (RFC 3207, 4.2; HOSTILE 5 and 40). The caller then closes, as it does after a failure: once
  /// asked for, TLS can't be asked for again.
  public func startTLS(_ request: TLSRequest, until deadline: MonotonicInstant) async -> TLSOutcome {
    flush()
    guard isIdle else { return .failed("another wait stands") }
    guard !tlsAsked else { return .failed("TLS was started already") }
    guard !isClosed else { return .failed("the peer closed the connection") }
    guard input.readableBytes == 0 else { return .inputNotEmpty }
    tlsAsked = true
    input = ByteBuffer()
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { continuation in
      waiter = .tls(continuation)
      driver.startTLS(request)
    }
  }

  /// Flushes and closes once what was written has left. Closing again changes nothing.
  public func close() {
    flush()
    end(abruptly: false)
  }

  /// Closes at once; what was not written is dropped.
  public func abort() {
    output.clear()
    end(abruptly: true)
  }

  // MARK: The driver's side

  /// Bytes arrived.
  public func deliver(_ bytes: ByteBuffer) {
    bytesReceived &+= UInt64(bytes.readableBytes)
    if input.readableBytes == 0 {
      input = bytes
    } else {
      var more = bytes
      input.writeBuffer(&more)
    }
    guard case .input = waiter else {
      dataUntold = true
      return
    }
    wakeInput(.data)
  }

  /// The peer ended its direction; what we write still reaches it.
  public func peerFinished() {
    isClosed = true
    switch waiter {
    case .nobody, .drain: break
    case .input: wakeInput(.closed)
    case .tls: wakeTLS(.failed("the peer closed the connection"))
    }
  }

  /// The connection is gone in both directions.
  public func peerClosed() {
    isClosed = true
    isBroken = true
    switch waiter {
    case .nobody: break
    case .input: wakeInput(.closed)
    case .drain: wakeDrain(false)
    case .tls: wakeTLS(.failed("the peer closed the connection"))
    }
  }

  /// The deadline set last has passed.
  public func deadlinePassed() {
    switch waiter {
    case .nobody: break
    case .input: wakeInput(.deadline)
    case .drain: wakeDrain(false)
    case .tls: wakeTLS(.failed("the handshake took too long"))
    }
  }

  /// Ends a wait for input now, with `.deadline`: the session's own loop has something else for it to do (work for an idle
  /// connection, news for a listening client). Nothing happens while it waits for something else, or for nothing.
  public func interrupt() { wakeInput(.deadline) }

  /// `count` bytes that were handed over have left.
  public func sent(_ count: Int) {
    pendingOutbound = max(0, pendingOutbound &- max(0, count))
    if pendingOutbound <= Self.writeHighWater { wakeDrain(true) }
  }

  /// The handshake ended. One that ended too late, when the wait for it is over, changes nothing.
  public func tlsFinished(_ outcome: TLSOutcome) {
    guard case .tls = waiter else { return }
    if case .established(let facts) = outcome { tls = facts }
    wakeTLS(outcome)
  }

  /// The server wants its sessions to end.
  public func requestShutdown() {
    guard !isShuttingDown else { return }
    isShuttingDown = true
    guard case .input = waiter else {
      shutdownUntold = true
      return
    }
    wakeInput(.shutdown)
  }

  /// The server needs the session's place for another: `isShed` is true from now on, and a wait for input ends. Any thread.
  public func shed() {
    driver.perform {
      self.isShed = true
      self.interrupt()
    }
  }

  // MARK: The slot

  private var isIdle: Bool {
    if case .nobody = waiter { return true }
    return false
  }

  private func end(abruptly: Bool) {
    let already = isBroken
    isClosed = true
    isBroken = true
    if !already { driver.close(abruptly: abruptly) }
    // Only the session closes, and it can't be waiting meanwhile; should it ever, nobody hangs.
    switch waiter {
    case .nobody: break
    case .input: wakeInput(.closed)
    case .drain: wakeDrain(false)
    case .tls: wakeTLS(.failed("the connection was closed"))
    }
  }

  private func wakeInput(_ wake: Wake) {
    guard case .input(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: wake)
  }

  private func wakeDrain(_ isDrained: Bool) {
    guard case .drain(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: isDrained)
  }

  private func wakeTLS(_ outcome: TLSOutcome) {
    guard case .tls(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: outcome)
  }
}
