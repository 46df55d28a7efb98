/// Asks the domain name system. The server's is libunbound (validating, caching); a simulation's is a script.
public protocol Resolver: Sendable {
  /// The answer to one question, CNAMEs followed. Returns within the resolver's own time limit; never throws: a failure is an
  /// answer that says so.
  func resolve(_ question: DNSQuestion) async -> DNSAnswer
}

/// A name and a type, class IN.
public struct DNSQuestion: Hashable, Sendable {
  /// A name in presentation form, A-labels, lower case, without the final dot.
  public var name: String
  public var type: DNSRecordType

  public init(_ name: String, _ type: DNSRecordType) {
    self.name = name
    self.type = type
  }
}

/// A resource record type, by its number.
public struct DNSRecordType: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let a = Self(rawValue: 1)
  public static let ns = Self(rawValue: 2)
  public static let cname = Self(rawValue: 5)
  public static let soa = Self(rawValue: 6)
  public static let ptr = Self(rawValue: 12)
  public static let mx = Self(rawValue: 15)
  public static let txt = Self(rawValue: 16)
  public static let aaaa = Self(rawValue: 28)
  public static let srv = Self(rawValue: 33)
  public static let tlsa = Self(rawValue: 52)
}

/// What came back.
public struct DNSAnswer: Hashable, Sendable {
  public enum Status: Hashable, Sendable {
    /// The name exists; `records` may be empty (no data of this type).
    case success
    /// The name does not exist (NXDOMAIN).
    case noSuchName
    /// SERVFAIL, time-out, refused, truncated, or validation failed (`security` is `.bogus` then): try again later.
    case failure(String)
  }

  public enum Security: Hashable, Sendable {
    /// Validated by DNSSEC up to a trust anchor.
    case secure
    /// Provably or simply unsigned.
    case insecure
    /// Signed, but the signatures don't hold. Never used.
    case bogus
  }

  public var status: Status
  public var security: Security
  /// The name at the end of the CNAME chain; the question's own if there was none.
  public var canonicalName: String
  /// Each record's RDATA, uncompressed, of the type asked for. At most 500 (the rest is dropped and `truncated` says so).
  public var records: [[UInt8]]
  public var truncated: Bool
  /// Seconds the answer may be kept.
  public var timeToLive: UInt32

  public init(
    status: Status, security: Security = .insecure, canonicalName: String, records: [[UInt8]] = [], truncated: Bool = false,
    timeToLive: UInt32 = 0
  ) {
    self.status = status
    self.security = security
    self.canonicalName = canonicalName
    self.records = records
    self.truncated = truncated
    self.timeToLive = timeToLive
  }
}
