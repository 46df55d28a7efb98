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
  /// Every 5xx goes out as 4xx (`[queue] soft-bounce`).
  public let softBounces: Bool

  /// `220` and who is here (RFC 5321, 4.2).
  let greeting: SMTPReply
  /// The answer to HELO.
  let hello: SMTPReply
  let help: SMTPReply
  /// The answers to EHLO or LHLO by `clearOrTLS + 2 * XCLIENT`.
  private let capabilities: [SMTPReply]

  /// - Parameters:
  ///   - hostname: the host's name for itself (RFC 5321, 4.2).
  ///   - greeting: what stands behind the name and protocol in the greeting.
  ///   - softBounces: what is refused is refused for a while only.
  public init(
    dialect: SMTPDialect, hostname: String, greeting: String = "Martlet", extensions: Extensions = .standard,
    limits: SMTPLimits = .init(), softBounces: Bool = false
  ) {
    var extensions = extensions
    if !extensions.contains(.chunking) { extensions.remove(.binaryMIME) }
    self.dialect = dialect
    self.hostname = hostname
    self.extensions = extensions
    self.limits = limits
    self.softBounces = softBounces
    self.greeting = SMTPReply(220, nil, "\(hostname) \(dialect == .lmtp ? "LMTP" : "ESMTP") \(greeting)").prebuilt()
    self.hello = SMTPReply(250, nil, hostname).prebuilt()
    let commands = dialect == .lmtp ? "LHLO" : "EHLO HELO"
    self.help = SMTPReply(
      214, .init(.success, 0, 0), "\(commands) MAIL RCPT DATA BDAT RSET VRFY NOOP HELP QUIT STARTTLS"
    ).prebuilt()
    self.capabilities = [(false, false), (true, false), (false, true), (true, true)].map { overTLS, mayUseXCLIENT in
      let lines = Self.capabilities(of: extensions, limits, overTLS: overTLS, mayUseXCLIENT: mayUseXCLIENT)
      return SMTPReply(250, nil, lines: [hostname] + lines).prebuilt()
    }
  }

  /// A reply as it goes out: whoever tells what a client hears asks here.
  public func outgoing(_ reply: SMTPReply) -> SMTPReply { softBounces ? reply.softened : reply }

  /// The answer to EHLO or LHLO (RFC 5321, 4.1.1.1), recomputed for each security (RFC 3207, 4.2).
  func capabilities(overTLS: Bool, mayUseXCLIENT: Bool) -> SMTPReply {
    let index = (overTLS ? 1 : 0) + (mayUseXCLIENT ? 2 : 0)
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
