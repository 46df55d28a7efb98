import Outside

/// Where a message goes: hosts to try in order, and how to speak to them.
public struct Route: Hashable, Sendable {
  /// One host with its addresses.
  public struct Host: Hashable, Sendable {
    /// As it stands in the MX record or next hop; what a certificate must show. The path of a Unix socket.
    public var name: String
    /// The MX preference; 0 for explicit and implicit ones.
    public var preference: UInt16
    /// Where to connect, in the order to try.
    public var endpoints: [Endpoint]

    public init(name: String, preference: UInt16 = 0, endpoints: [Endpoint]) {
      self.name = name
      self.preference = preference
      self.endpoints = endpoints
    }
  }

  /// What the messages of this route may share: connections. Equal keys mean the same addresses in the same order of preference, under the
  /// same rules; where the certificate must show a host's name, the same names too.
  public var key: String
  /// Best first; equals already in random order. At least one, each with at least one endpoint.
  public var hosts: [Host]
  public var dialect: NextHop.Dialect
  public var isImplicitTLS: Bool
  public var tls: TLSPolicy
  public var credentials: NextHop.Credentials?
  public var allowsClearAuthentication: Bool
  /// What the route itself says of where connections come from; nil: nothing.
  public var source: ConnectionSource?
  public var evidence: RouteEvidence

  public init(
    key: String, hosts: [Host], dialect: NextHop.Dialect = .smtp, isImplicitTLS: Bool = false, tls: TLSPolicy = .opportunistic,
    credentials: NextHop.Credentials? = nil, allowsClearAuthentication: Bool = false, source: ConnectionSource? = nil,
    evidence: RouteEvidence = RouteEvidence()
  ) {
    self.key = key
    self.hosts = hosts
    self.dialect = dialect
    self.isImplicitTLS = isImplicitTLS
    self.tls = tls
    self.credentials = credentials
    self.allowsClearAuthentication = allowsClearAuthentication
    self.source = source
    self.evidence = evidence
  }

  /// The hosts' names in order of preference: what sets routes apart that share addresses but verify certificates.
  public var hostNames: String { hosts.map { "\($0.preference) \($0.name)" }.sorted().joined(separator: ",") }
}

/// What a route was decided by, for the trace.
public struct RouteEvidence: Hashable, Sendable {
  /// What decided: `route smtp://...`, `mx`, `implicit mx`, `address literal`, `rerouted`.
  public var source: String
  /// The records seen, `MX 10 mx1.example.org`, `A mx1.example.org 192.0.2.1`, and what was left out and why. At most 60 lines.
  public var records: [String]
  /// The weakest of the answers used: secure only if all were.
  public var security: DNSAnswer.Security
  /// Seconds the route may be kept.
  public var timeToLive: UInt32

  public init(source: String = "", records: [String] = [], security: DNSAnswer.Security = .insecure, timeToLive: UInt32 = 0) {
    self.source = source
    self.records = records
    self.security = security
    self.timeToLive = timeToLive
  }

  static let maximumRecords = 60

  mutating func note(_ record: String) {
    if records.count < Self.maximumRecords { records.append(record) }
  }

  /// Takes an answer into account: its security and time to live.
  mutating func take(_ answer: DNSAnswer) {
    if answer.security != .secure { security = answer.security }
    timeToLive = min(timeToLive, answer.timeToLive)
  }
}

/// The answer to "where does this domain's mail go?".
public enum RouteDecision: Hashable, Sendable {
  case route(Route)
  /// Can't be told now: try again. `reason` is for the queue and the trace.
  case transient(reason: String, RouteEvidence)
  /// Nowhere, ever: `reason` begins with the reply and enhanced code, `550 5.1.2 ...`, and goes into the notification.
  case permanent(reason: String, RouteEvidence)
}
