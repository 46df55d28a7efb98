import Bytes

/// What a host offered in its reply to EHLO or LHLO (RFC 5321, 4.1.1.1).
///
/// Unknown keywords are ignored; of a repeated one the last counts. After TLS it is made anew (RFC 3207, 4.2).
public struct SMTPCapabilities: Hashable, Sendable {
  /// RFC 2920.
  public var pipelining = false
  /// RFC 6152.
  public var eightBitMIME = false
  /// RFC 6531.
  public var utf8 = false
  /// RFC 3030.
  public var chunking = false
  public var binaryMIME = false
  /// RFC 3461.
  public var dsn = false
  /// RFC 3207.
  public var startTLS = false
  /// RFC 8689.
  public var requireTLS = false
  /// RFC 2034.
  public var enhancedStatusCodes = false
  /// SIZE was offered (RFC 1870).
  public var size = false
  /// Octets a message may have; 0: no bound was told.
  public var maximumSize: UInt64 = 0
  public var authenticatesPlain = false
  public var authenticatesLogin = false
  /// LIMITS (RFC 9422): messages a connection, recipients a message, domains a message; 0: not told.
  public var maximumMessages: UInt64 = 0
  public var maximumRecipients: UInt64 = 0
  public var maximumDomains: UInt64 = 0

  /// Nothing, as HELO leaves it.
  public init() {}

  /// Reads the lines of a reply to EHLO; the first is the host's name.
  public init(_ reply: SMTPReply) {
    for line in reply.moreLines { take(line) }
  }

  private mutating func take(_ line: String) {
    var cursor = ByteCursor(Array(line.utf8))
    let keyword = cursor.take { !$0.isASCIIBlank && $0 != 0x3D }
    // `AUTH=PLAIN LOGIN`, as old servers wrote it, reads as `AUTH PLAIN LOGIN`.
    _ = cursor.take(0x3D)
    cursor.skipWhitespace()
    if keyword.equals(ignoringCase: "PIPELINING") { pipelining = true }
    if keyword.equals(ignoringCase: "8BITMIME") { eightBitMIME = true }
    if keyword.equals(ignoringCase: "SMTPUTF8") { utf8 = true }
    if keyword.equals(ignoringCase: "CHUNKING") { chunking = true }
    if keyword.equals(ignoringCase: "BINARYMIME") { binaryMIME = true }
    if keyword.equals(ignoringCase: "DSN") { dsn = true }
    if keyword.equals(ignoringCase: "STARTTLS") { startTLS = true }
    if keyword.equals(ignoringCase: "REQUIRETLS") { requireTLS = true }
    if keyword.equals(ignoringCase: "ENHANCEDSTATUSCODES") { enhancedStatusCodes = true }
    if keyword.equals(ignoringCase: "SIZE") {
      size = true
      maximumSize = cursor.takeDecimal() ?? 0
    }
    if keyword.equals(ignoringCase: "AUTH") { takeMechanisms(&cursor) }
    if keyword.equals(ignoringCase: "LIMITS") { takeLimits(&cursor) }
  }

  private mutating func takeMechanisms(_ cursor: inout ByteCursor) {
    while !cursor.isAtEnd {
      let mechanism = cursor.take { !$0.isASCIIBlank }
      if mechanism.equals(ignoringCase: "PLAIN") { authenticatesPlain = true }
      if mechanism.equals(ignoringCase: "LOGIN") { authenticatesLogin = true }
      cursor.skipWhitespace()
    }
  }

  /// `RCPTMAX=100 MAILMAX=10` (RFC 9422, 4); a value that is no number above 0 is as if it had not been told.
  private mutating func takeLimits(_ cursor: inout ByteCursor) {
    while !cursor.isAtEnd {
      let name = cursor.take { !$0.isASCIIBlank && $0 != 0x3D }
      let value = cursor.take(0x3D) ? cursor.takeDecimal(digits: 6) ?? 0 : 0
      if name.equals(ignoringCase: "MAILMAX") { maximumMessages = value }
      if name.equals(ignoringCase: "RCPTMAX") { maximumRecipients = value }
      if name.equals(ignoringCase: "RCPTDOMAINMAX") { maximumDomains = value }
      _ = cursor.take { !$0.isASCIIBlank }
      cursor.skipWhitespace()
    }
  }
}
