import NIOCore

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

  /// Runs `job` on the connection's thread, soon; the one call that any thread may make.
  func perform(_ job: @escaping @Sendable () -> Void)

  /// Whether bytes of the peer wait to be read. Costs a system call.
  var hasUnreadInput: Bool { get }
}

/// What holds on the one thread of a simulation.
extension ConnectionDriver {
  public func perform(_ job: @escaping @Sendable () -> Void) { job() }

  public var hasUnreadInput: Bool { false }
}
