import NIOCore

/// Keys, certificates and rules for one side of TLS. Opaque here; the server's holds an OpenSSL context.
public protocol TLSContext: AnyObject, Sendable {}

/// What is asked of a connection to a next hop.
public enum TLSPolicy: String, Hashable, Sendable, CaseIterable {
  /// Never.
  case none
  /// Where it is offered, with any certificate; in clear otherwise.
  case opportunistic
  /// Always, with any certificate; the message waits otherwise.
  case required
  /// Always, with a certificate that a trusted authority issued for the host's name; the message waits otherwise.
  case verified
}

/// How TLS is to be started.
public struct TLSRequest: Sendable {
  public enum Role: Hashable, Sendable {
    case server
    /// `serverName` goes out as SNI; `verifyName` is what the certificate must show (nil: any certificate will do).
    case client(serverName: String?, verifyName: String?)
  }

  public var role: Role
  public var context: any TLSContext
  /// Bytes of the handshake that were read already: what stood behind a PROXY header where TLS begins with the connection.
  public var early: ByteBuffer

  public init(role: Role, context: any TLSContext, early: ByteBuffer = ByteBuffer()) {
    self.role = role
    self.context = context
    self.early = early
  }
}

/// What TLS agreed on: for `Received`, the trace and policy.
public struct TLSFacts: Hashable, Sendable {
  /// `TLSv1.3`, `TLSv1.2`.
  public var version: String
  /// The cipher suite's IANA name, `TLS_AES_256_GCM_SHA384`.
  public var cipher: String
  /// 32 octets that only the two ends know, for channel binding (RFC 9266); nil where they would not be the connection's alone.
  public var exporter: [UInt8]?
  /// The name the client asked for.
  public var serverName: String?
  /// Whether the peer's certificate chain and name were verified.
  public var isPeerVerified: Bool
  /// Why not, for the trace.
  public var verificationProblem: String?

  public init(
    version: String, cipher: String, exporter: [UInt8]? = nil, serverName: String? = nil, isPeerVerified: Bool = false,
    verificationProblem: String? = nil
  ) {
    self.version = version
    self.cipher = cipher
    self.exporter = exporter
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
