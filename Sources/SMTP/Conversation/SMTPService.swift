import NIOCore

/// What a listener offers: one for all its conversations, with the replies that never change made once.
public final class SMTPService: Sendable {
  /// Extensions that can be switched off. PIPELINING, ENHANCEDSTATUSCODES, SIZE, HELP and LIMITS are always there.
  public struct Extensions: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    /// 8BITMIME (RFC 6152).
    public static let eightBitMIME = Self(rawValue: 1)
    /// SMTPUTF8 (RFC 6531).
    public static let smtpUTF8 = Self(rawValue: 2)
    /// CHUNKING (RFC 3030).
    public static let chunking = Self(rawValue: 4)
    /// BINARYMIME (RFC 3030); only with CHUNKING.
    public static let binaryMIME = Self(rawValue: 8)
    /// DSN (RFC 3461).
    public static let dsn = Self(rawValue: 16)
    /// STARTTLS (RFC 3207); announced while the connection is in clear.
    public static let startTLS = Self(rawValue: 32)
    /// REQUIRETLS (RFC 8689); announced over TLS.
    public static let requireTLS = Self(rawValue: 64)

    /// All but STARTTLS, which needs a certificate.
    public static let standard: Self = [.eightBitMIME, .smtpUTF8, .chunking, .binaryMIME, .dsn, .requireTLS]
  }

  public let dialect: SMTPDialect
  /// The host's name, as it greets.
  public let hostname: String
  public let extensions: Extensions
  public let limits: SMTPLimits

  /// - Parameters:
  ///   - hostname: the host's name for itself (RFC 5321, 4.2).
  ///   - greeting: what stands behind the name and protocol in the greeting.
  public init(
    dialect: SMTPDialect, hostname: String, greeting: String = "Martlet", extensions: Extensions = .standard,
    limits: SMTPLimits = .init()
  ) {
    self.dialect = dialect
    self.hostname = hostname
    self.extensions = extensions
    self.limits = limits
  }
}
