import Glibc
import NIOCore
import NIOPosix
import Outside

/// Opens connections on the calling session's own loop.
public struct NIODialer: Dialer {
  private let loops: ServerLoops
  private let clock: any Clock
  private let limits: ServerLimits

  /// Dials on `loops`.
  public init(loops: ServerLoops, clock: any Clock = SystemClock(), limits: ServerLimits = ServerLimits()) {
    self.loops = loops
    self.clock = clock
    self.limits = limits
  }

  public func connect(
    to remote: Endpoint, from source: IPAddress?, until deadline: MonotonicInstant
  ) async -> Result<Connection, DialError> {
    guard let address = remote.socketAddress else { return .failure(.failed("the socket's path is too long")) }
    let now = clock.monotonic()
    guard deadline > now else { return .failure(.timedOut) }
    // A day stands for ever; NIO's own time-out is an Int64 of nanoseconds.
    let time = TimeAmount.nanoseconds(min(deadline.since(now).nanoseconds, 86_400_000_000_000))
    let home = loops.current
    var bootstrap = ClientBootstrap(group: home.loop)
      .connectTimeout(time)
      .channelOption(.autoRead, value: false)
      .channelOption(.allowRemoteHalfClosure, value: true)
      .channelOption(.maxMessagesPerRead, value: 1)
      .channelOption(.recvAllocator, value: ReadSizer(limits: limits))
    if case .ip = remote {
      bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
    }
    if let source {
      guard let local = Endpoint.ip(source, port: 0).socketAddress else { return .failure(.failed("no source address")) }
      bootstrap = bootstrap.bind(to: local)
    }
    let (clock, limits) = (clock, limits)
    return await withUnsafeContinuation { continuation in
      let future = bootstrap.channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let handler = ConnectionHandler(home: home, clock: clock, limits: limits, started: { _ in }, ended: {})
          try channel.pipeline.syncOperations.addHandler(handler)
        }
      }.connect(to: address)
      future.whenComplete { result in
        home.executor.gather { continuation.resume(returning: Self.outcome(of: result)) }
      }
    }
  }

  /// Called on the connection's loop; the channel is active, but its handlers may not have heard of it yet.
  private static func outcome(of result: Result<any Channel, any Error>) -> Result<Connection, DialError> {
    switch result {
    case .success(let channel):
      let handler = try? channel.pipeline.syncOperations.handler(type: ConnectionHandler.self)
      guard let connection = handler?.activeConnection() else { return .failure(.failed("closed at once")) }
      return .success(connection)
    case .failure(let error):
      return .failure(reason(of: error))
    }
  }

  private static func reason(of error: any Error) -> DialError {
    if let error = error as? ChannelError, case .connectTimeout = error { return .timedOut }
    guard let error = error as? IOError else { return .failed("\(error)") }
    let text = String(cString: strerror(error.errnoCode))
    switch error.errnoCode {
    case ECONNREFUSED, ENOENT: return .refused
    case ETIMEDOUT: return .timedOut
    case EMFILE, ENFILE: return .tooManyOpenFiles
    case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL, EAFNOSUPPORT: return .unreachable(text)
    default: return .failed(text)
    }
  }
}
