import NIOCore
import Outside
import SASL

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

  /// AUTH, as it is offered (RFC 4954).
  public struct Authentication: Sendable {
    /// In the order in which they are announced.
    public var mechanisms: [SASLMechanism]
    /// Whether it is offered over TLS only, even to a mechanism that shows no secret.
    public var needsTLS: Bool
    /// Whether MAIL needs it: `530 5.7.0`.
    public var isRequired: Bool
    /// 18 octets or more that nobody can guess, others each time.
    public var makeNonce: @Sendable () -> [UInt8]

    public init(
      mechanisms: [SASLMechanism], needsTLS: Bool = true, isRequired: Bool, makeNonce: @escaping @Sendable () -> [UInt8]
    ) {
      self.mechanisms = mechanisms
      self.needsTLS = needsTLS
      self.isRequired = isRequired
      self.makeNonce = makeNonce
    }
  }

  public let dialect: SMTPDialect
  /// The host's name, as it greets.
  public let hostname: String
  public let extensions: Extensions
  /// Nil: no AUTH.
  public let authentication: Authentication?
  public let limits: SMTPLimits
  /// Every 5xx goes out as 4xx (`[queue] soft-bounce`).
  public let softBounces: Bool

  /// `220` and who is here (RFC 5321, 4.2).
  let greeting: SMTPReply
  /// The answer to HELO.
  let hello: SMTPReply
  let help: SMTPReply
  /// The answers to EHLO or LHLO by `Security + 4 * XCLIENT`.
  private let capabilities: [SMTPReply]

  /// - Parameters:
  ///   - hostname: the host's name for itself (RFC 5321, 4.2).
  ///   - greeting: what stands behind the name and protocol in the greeting.
  ///   - softBounces: what is refused is refused for a while only.
  public init(
    dialect: SMTPDialect, hostname: String, greeting: String = "Martlet", extensions: Extensions = .standard,
    authentication: Authentication? = nil, limits: SMTPLimits = .init(), softBounces: Bool = false
  ) {
    var extensions = extensions
    if !extensions.contains(.chunking) { extensions.remove(.binaryMIME) }
    self.dialect = dialect
    self.hostname = hostname
    self.extensions = extensions
    self.authentication = authentication
    self.limits = limits
    self.softBounces = softBounces
    self.greeting = SMTPReply(220, nil, "\(hostname) \(dialect == .lmtp ? "LMTP" : "ESMTP") \(greeting)").prebuilt()
    self.hello = SMTPReply(250, nil, hostname).prebuilt()
    let commands = dialect == .lmtp ? "LHLO" : "EHLO HELO"
    self.help = SMTPReply(
      214, .init(.success, 0, 0),
      "\(commands) MAIL RCPT DATA BDAT RSET VRFY NOOP HELP QUIT STARTTLS\(authentication == nil ? "" : " AUTH")"
    ).prebuilt()
    self.capabilities = (0..<8).map { index in
      let (security, mayUseXCLIENT) = (Security(rawValue: index & 3) ?? .clear, index & 4 != 0)
      var lines = Self.capabilities(of: extensions, limits, overTLS: security != .clear, mayUseXCLIENT: mayUseXCLIENT)
      if let mechanisms = Self.announced(authentication, security) { lines.append(mechanisms) }
      return SMTPReply(250, nil, lines: [hostname] + lines).prebuilt()
    }
  }

  /// What the connection is, as far as EHLO's answer hangs on it.
  private enum Security: Int {
    case clear, tls
    /// TLS to which a mechanism can bind.
    case bindable
  }

  /// `AUTH` and the mechanisms that this connection may use (RFC 4954, 3).
  private static func announced(_ authentication: Authentication?, _ security: Security) -> String? {
    guard let authentication, security != .clear || !authentication.needsTLS else { return nil }
    let usable = authentication.mechanisms.filter { mechanism in
      switch security {
      case .clear: !mechanism.exposesSecret && !mechanism.bindsChannel
      case .tls: !mechanism.bindsChannel
      case .bindable: true
      }
    }
    return usable.isEmpty ? nil : "AUTH " + usable.map(\.rawValue).joined(separator: " ")
  }

  /// A reply as it goes out: whoever tells what a client hears asks here.
  public func outgoing(_ reply: SMTPReply) -> SMTPReply { softBounces ? reply.softened : reply }

  /// The answer to EHLO or LHLO (RFC 5321, 4.1.1.1), recomputed for each security (RFC 3207, 4.2).
  func capabilities(_ tls: TLSFacts?, mayUseXCLIENT: Bool) -> SMTPReply {
    let security: Security = tls.map { $0.exporter == nil ? .tls : .bindable } ?? .clear
    let index = security.rawValue + (mayUseXCLIENT ? 4 : 0)
    return capabilities.indices.contains(index) ? capabilities[index] : hello
  }

  private static func capabilities(
    of extensions: Extensions, _ limits: SMTPLimits, overTLS: Bool, mayUseXCLIENT: Bool
  ) -> [String] {
    // RFC 1870, 5: SIZE 0 says that no fixed limit is in force.
    var lines = ["PIPELINING", "SIZE \(limits.messageSize)", "ENHANCEDSTATUSCODES", "HELP"]
    if extensions.contains(.startTLS), !overTLS { lines.append("STARTTLS") }
    if extensions.contains(.eightBitMIME) { lines.append("8BITMIME") }
    if extensions.contains(.smtpUTF8) { lines.append("SMTPUTF8") }
    if extensions.contains(.chunking) { lines.append("CHUNKING") }
    if extensions.contains(.binaryMIME) { lines.append("BINARYMIME") }
    if extensions.contains(.dsn) { lines.append("DSN") }
    // RFC 8689, 2: only over TLS.
    if extensions.contains(.requireTLS), overTLS { lines.append("REQUIRETLS") }
    // RFC 9422, 4.1 and 4.2.
    let announced = [("RCPTMAX", limits.recipients), ("MAILMAX", limits.messages)].compactMap { name, limit in
      // RFC 9422, 4: a number of at most six digits, not 0. What can't be said is not said.
      (1...999_999).contains(limit) ? "\(name)=\(limit)" : nil
    }
    if !announced.isEmpty { lines.append("LIMITS " + announced.joined(separator: " ")) }
    if mayUseXCLIENT { lines.append("XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT") }
    return lines
  }
}
