/// What one client connection goes by.
public struct SMTPClientSettings: Hashable, Sendable {
  /// What TLS must be.
  public enum TLS: Hashable, Sendable {
    /// Never asked for.
    case none
    /// Used if offered.
    case opportunistic
    /// Without it the host gets nothing. Whether the certificate is checked is the transport's matter.
    case required
  }

  /// SASL PLAIN or LOGIN (RFC 4616; the LOGIN draft).
  public struct Credentials: Hashable, Sendable {
    public var user: String
    public var password: String

    public init(user: String, password: String) {
      self.user = user
      self.password = password
    }
  }

  /// This host's name, for EHLO.
  public var hostname: String
  public var dialect: SMTPDialect
  public var tls: TLS
  /// TLS stands in front from the first byte.
  public var isImplicitTLS: Bool
  public var credentials: Credentials?
  /// Credentials may be sent without TLS.
  public var allowsClearAuthentication: Bool
  /// BDAT is used where it is offered.
  public var usesChunking: Bool

  public init(
    hostname: String, dialect: SMTPDialect = .smtp, tls: TLS = .opportunistic, isImplicitTLS: Bool = false,
    credentials: Credentials? = nil,
    allowsClearAuthentication: Bool = false, usesChunking: Bool = true
  ) {
    self.hostname = hostname
    self.dialect = dialect
    self.tls = tls
    self.isImplicitTLS = isImplicitTLS
    self.credentials = credentials
    self.allowsClearAuthentication = allowsClearAuthentication
    self.usesChunking = usesChunking
  }
}
