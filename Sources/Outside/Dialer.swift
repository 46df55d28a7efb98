/// Opens connections to other hosts.
public protocol Dialer: Sendable {
  /// Connects. Call on a session's executor: the connection belongs to that loop.
  ///
  /// - Parameter source: the local address to come from; nil lets the system choose.
  func connect(
    to remote: Endpoint, from source: IPAddress?, until deadline: MonotonicInstant
  ) async -> Result<Connection, DialError>
}

/// Why no connection came about.
public enum DialError: Error, Hashable, Sendable {
  case refused
  case timedOut
  case unreachable(String)
  case tooManyOpenFiles
  case failed(String)
}
