/// How much clients may ask of the server at once. 0 means unlimited.
public struct OverloadLimits: Hashable, Sendable {
  /// Connections at one time from one client (an IPv4 address or an IPv6 /64): `421 4.7.0`. Default 20.
  public var connectionsPerClient: Int
  /// Connections at one time in all, on listeners that take mail from the world: beyond it the longest idle session is shed
  /// with `421 4.3.2`, and if none is idle the new one is refused. Default 10,000.
  public var connections: Int
  /// Seconds a session must have been idle before it may be shed for a new one. Default 5.
  public var idleBeforeShedding: Int
  /// Messages that one client may hand over in a minute: `450 4.7.1` at MAIL. Default 600.
  public var messagesPerClientPerMinute: Int
  /// Clients whose counts are kept; when there are more, the quietest are forgotten. Default 100,000.
  public var clientsRemembered: Int

  public init(
    connectionsPerClient: Int = 20, connections: Int = 10_000, idleBeforeShedding: Int = 5, messagesPerClientPerMinute: Int = 600,
    clientsRemembered: Int = 100_000
  ) {
    self.connectionsPerClient = connectionsPerClient
    self.connections = connections
    self.idleBeforeShedding = idleBeforeShedding
    self.messagesPerClientPerMinute = messagesPerClientPerMinute
    self.clientsRemembered = clientsRemembered
  }
}
