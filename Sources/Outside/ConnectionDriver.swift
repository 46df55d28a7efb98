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
}
