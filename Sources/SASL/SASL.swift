/// The Simple Authentication and Security Layer (RFC 4422), the server's side, for every protocol that has it.
///
/// What it is: one exchange as a value. Responses of the client go in, a step comes out (`challenge`, `ask`, `succeeded`, `failed`). How
/// a protocol carries them (`AUTH` and `334` of SMTP, `AUTHENTICATE` and `+` of IMAP and POP3) and who is who is the caller's:
/// `SASLWire` has what all of them share, a `SASLQuestion` goes to `Identity`.
///
/// Mechanisms: PLAIN (RFC 4616), LOGIN (as clients do it), SCRAM-SHA-1 and SCRAM-SHA-256 with their PLUS forms (RFC 5802, 7677, channel
/// binding tls-exporter of RFC 9266), OAUTHBEARER (RFC 7628) and XOAUTH2, EXTERNAL (RFC 4422, appendix A).
///
/// Promises: total on every response; nothing is copied into a reason that a client sent; no step tells whether a user exists. Nothing
/// here knows a password for longer than its question lives.
public enum SASLMechanism: String, CaseIterable, Hashable, Sendable {
  case plain = "PLAIN"
  case login = "LOGIN"
  case scramSHA1 = "SCRAM-SHA-1"
  case scramSHA1Plus = "SCRAM-SHA-1-PLUS"
  case scramSHA256 = "SCRAM-SHA-256"
  case scramSHA256Plus = "SCRAM-SHA-256-PLUS"
  case oauthBearer = "OAUTHBEARER"
  case xoauth2 = "XOAUTH2"
  case external = "EXTERNAL"

  /// The mechanism of a name as it came, in any case.
  public init?(name: some StringProtocol) {
    guard name.utf8.count <= 20 else { return nil }  // RFC 4422, 3.1
    self.init(rawValue: name.uppercased())
  }

  /// Whether a password or a token crosses the wire as it is, so that it needs TLS (RFC 4616, 4; RFC 7628, 5; RFC 8314, 3.2).
  public var exposesSecret: Bool {
    switch self {
    case .plain, .login, .oauthBearer, .xoauth2: true
    case .scramSHA1, .scramSHA1Plus, .scramSHA256, .scramSHA256Plus, .external: false
    }
  }

  /// Whether it binds to the TLS channel below it.
  public var bindsChannel: Bool { self == .scramSHA1Plus || self == .scramSHA256Plus }

  var scramHash: ScramHash? {
    switch self {
    case .scramSHA1, .scramSHA1Plus: .sha1
    case .scramSHA256, .scramSHA256Plus: .sha256
    case .plain, .login, .oauthBearer, .xoauth2, .external: nil
    }
  }
}

/// What the connection below an exchange is.
public struct SASLChannel: Hashable, Sendable {
  /// Whether it is TLS.
  public var isProtected: Bool
  /// 32 octets that only the two ends of this TLS connection know (RFC 9266, `tls-exporter`); nil without TLS or where TLS is older
  /// than 1.3 and has no extended master secret.
  public var tlsExporter: [UInt8]?
  /// Whether the mechanisms that bind to the channel were offered: a client that could have bound and says that nobody offered
  /// it was deceived (RFC 5802, 6).
  public var offersBinding: Bool

  public init(isProtected: Bool, tlsExporter: [UInt8]? = nil, offersBinding: Bool = false) {
    self.isProtected = isProtected
    self.tlsExporter = tlsExporter
    self.offersBinding = offersBinding
  }
}
