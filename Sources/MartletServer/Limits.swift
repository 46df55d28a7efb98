import Outside

/// The bounds of the server's outer parts: sockets, TLS, threads, logs.
public struct ServerLimits: Sendable {
  /// Bytes of a connection's first read, in octets. No reply.
  public var firstReadSize = 512

  /// Bytes of one read from a socket, in octets; a read that fills it lets the next take `largeReadSize`. No reply.
  public var readSize = 8_192

  /// Bytes of a read while the peer sends faster than `readSize` a read, in octets. No reply.
  public var largeReadSize = 65_536

  /// The kernel's receive buffer of a connection, in octets: what a peer may send ahead of what we take. No reply.
  public var receiveBuffer = 262_144

  /// How long a closed connection may take to hand its last bytes over before it is cut. No reply.
  public var closeTime: Duration = .seconds(30)

  /// How long a connection that we close while the peer still sends is read and thrown away, so that our last reply is not
  /// lost to a reset. No reply.
  public var lingerTime: Duration = .seconds(2)

  /// Octets that are thrown away meanwhile. No reply.
  public var lingerOctets = 65_536

  /// How long a TLS handshake may take. The connection is closed.
  public var handshakeTime: Duration = .seconds(30)

  /// Octets of ciphertext before the end of the handshake. The connection is closed.
  public var handshakeOctets = 131_072

  /// Connections that wait to be accepted, per listener. The kernel drops or refuses more.
  public var backlog: Int32 = 1_024

  /// Open connections per listener; more are told the listener's `refusal` and closed.
  public var connections = 10_000

  /// How long accepting rests when the process or the system is out of descriptors.
  public var acceptBackoff: Duration = .milliseconds(100)

  /// How long sessions get to end at a shutdown before they are cut.
  public var shutdownTime: Duration = .seconds(10)

  /// The documented defaults.
  public init() {}
}
