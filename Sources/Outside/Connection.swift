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
/// - Continuations: one slot; each is resumed exactly once.
public final class Connection: @unchecked Sendable {
  /// What ended a wait for input.
  public enum Wake: Hashable, Sendable {
    /// New bytes stand in `input`.
    case data
    /// The peer closed (or the connection broke); bytes that came before it have been delivered.
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

  /// Whether the peer can send no more.
  public private(set) var isClosed = false

  /// Whether the server asked its sessions to end.
  public private(set) var isShuttingDown = false

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
  private var shutdownUntold = false
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

  /// Hands gathered output to the driver. Does not wait.
  public func flush() {
    guard output.readableBytes > 0 else { return }
    let bytes = output
    output = ByteBuffer()
    bytesSent &+= UInt64(bytes.readableBytes)
    guard !isClosed else { return }
    pendingOutbound += bytes.readableBytes
    driver.write(bytes)
  }

  /// Flushes, then waits for more input than there is.
  ///
  /// - Parameter deadline: when to give up; `.never` waits for as long as it takes.
  public func receive(until deadline: MonotonicInstant) async -> Wake {
    flush()
    if shutdownUntold {
      shutdownUntold = false
      return .shutdown
    }
    if isClosed { return .closed }
    if input.readableBytes == 0 { input.clear() }
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { continuation in
      waiter = .input(continuation)
      driver.requestRead()
    }
  }

  /// Flushes, then waits until at most `writeHighWater` bytes are on their way.
  ///
  /// - Returns: false if the peer is gone or `deadline` passed.
  public func drain(until deadline: MonotonicInstant) async -> Bool {
    flush()
    if isClosed { return false }
    if pendingOutbound <= Self.writeHighWater { return true }
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { waiter = .drain($0) }
  }

  /// Flushes, then changes to TLS; nothing is read in between.
  ///
  /// Refused with `.inputNotEmpty` when bytes already stand in `input`: they came in clear and must not be taken for protected
  /// ones (RFC 3207, 4.2; HOSTILE 5 and 40). The caller then closes.
  public func startTLS(_ request: TLSRequest, until deadline: MonotonicInstant) async -> TLSOutcome {
    flush()
    if isClosed { return .failed("the peer closed the connection") }
    guard input.readableBytes == 0 else { return .inputNotEmpty }
    driver.setDeadline(deadline)
    return await withUnsafeContinuation { continuation in
      waiter = .tls(continuation)
      driver.startTLS(request)
    }
  }

  /// Flushes and closes once what was written has left.
  public func close() {
    flush()
    isClosed = true
    driver.close(abruptly: false)
  }

  /// Closes at once; what was not written is dropped.
  public func abort() {
    output.clear()
    isClosed = true
    driver.close(abruptly: true)
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
    wakeInput(.data)
  }

  /// The peer closed, or the connection broke.
  public func peerClosed() {
    isClosed = true
    switch waiter {
    case .nobody: break
    case .input: wakeInput(.closed)
    case .drain(let continuation):
      waiter = .nobody
      continuation.resume(returning: false)
    case .tls(let continuation):
      waiter = .nobody
      continuation.resume(returning: .failed("the peer closed the connection"))
    }
  }

  /// The deadline set last has passed.
  public func deadlinePassed() {
    switch waiter {
    case .nobody: break
    case .input: wakeInput(.deadline)
    case .drain(let continuation):
      waiter = .nobody
      continuation.resume(returning: false)
    case .tls(let continuation):
      waiter = .nobody
      continuation.resume(returning: .failed("the handshake took too long"))
    }
  }

  /// `count` bytes that were handed over have left.
  public func sent(_ count: Int) {
    pendingOutbound = max(0, pendingOutbound - count)
    guard pendingOutbound <= Self.writeHighWater, case .drain(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: true)
  }

  /// The handshake ended.
  public func tlsFinished(_ outcome: TLSOutcome) {
    if case .established(let facts) = outcome { tls = facts }
    guard case .tls(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: outcome)
  }

  /// The server wants its sessions to end.
  public func requestShutdown() {
    guard !isShuttingDown else { return }
    isShuttingDown = true
    shutdownUntold = true
    guard case .input = waiter else { return }
    shutdownUntold = false
    wakeInput(.shutdown)
  }

  private func wakeInput(_ wake: Wake) {
    guard case .input(let continuation) = waiter else { return }
    waiter = .nobody
    continuation.resume(returning: wake)
  }
}

/// What moves a connection's bytes. Called on the connection's own thread only.
public protocol ConnectionDriver: AnyObject, Sendable {
  /// One read, please; answered by `deliver` or `peerClosed`. Asking again before the answer changes nothing.
  func requestRead()

  /// Writes and flushes. The driver reports `sent` as the bytes leave.
  func write(_ bytes: ByteBuffer)

  /// `deadlinePassed` is due then (a tick late at most); replaces the earlier deadline. `.never` takes it away.
  func setDeadline(_ deadline: MonotonicInstant)

  /// Puts TLS in front, now; answered by `tlsFinished` or `peerClosed`.
  func startTLS(_ request: TLSRequest)

  /// Closes: after what was written has left, or at once.
  func close(abruptly: Bool)
}

/// Keys, certificates and rules for one side of TLS. Opaque here; the server's holds an OpenSSL context.
public protocol TLSContext: AnyObject, Sendable {}

/// How TLS is to be started.
public struct TLSRequest: Sendable {
  public enum Role: Hashable, Sendable {
    case server
    /// `serverName` goes out as SNI; `verifyName` is what the certificate must show (nil: any certificate will do).
    case client(serverName: String?, verifyName: String?)
  }

  public var role: Role
  public var context: any TLSContext

  public init(role: Role, context: any TLSContext) {
    self.role = role
    self.context = context
  }
}

/// What TLS agreed on: for `Received`, the trace and policy.
public struct TLSFacts: Hashable, Sendable {
  /// `TLSv1.3`, `TLSv1.2`.
  public var version: String
  /// The cipher suite's IANA name, `TLS_AES_256_GCM_SHA384`.
  public var cipher: String
  /// The name the client asked for.
  public var serverName: String?
  /// Whether the peer's certificate chain and name were verified.
  public var isPeerVerified: Bool
  /// Why not, for the trace.
  public var verificationProblem: String?

  public init(
    version: String, cipher: String, serverName: String? = nil, isPeerVerified: Bool = false, verificationProblem: String? = nil
  ) {
    self.version = version
    self.cipher = cipher
    self.serverName = serverName
    self.isPeerVerified = isPeerVerified
    self.verificationProblem = verificationProblem
  }
}

/// How a handshake ended.
public enum TLSOutcome: Hashable, Sendable {
  case established(TLSFacts)
  case inputNotEmpty
  case failed(String)
}

/// Opens connections to other hosts.
public protocol Dialer: Sendable {
  /// Connects. Call on a session's executor: the connection belongs to that loop.
  ///
  /// - Parameter source: the local address to come from; nil lets the system choose.
  func connect(to remote: Endpoint, from source: IPAddress?, until deadline: MonotonicInstant) async -> Result<
    Connection, DialError
  >
}

/// Why no connection came about.
public enum DialError: Error, Hashable, Sendable {
  case refused
  case timedOut
  case unreachable(String)
  case tooManyOpenFiles
  case failed(String)
}
