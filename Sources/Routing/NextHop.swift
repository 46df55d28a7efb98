import Bytes
import Outside

/// An explicit next hop, as a route or `martlet queue reroute` names it.
///
///     smtp://HOST[:PORT]          SMTP, port 25 by default; STARTTLS when it is offered
///     smtps://HOST[:PORT]         SMTP inside TLS from the first byte, port 465, certificate verified
///     lmtp://HOST[:PORT]          LMTP (RFC 2033), port 24
///     lmtp+unix:///PATH           LMTP over a Unix socket
///
/// `HOST` is a domain name, an IPv4 address or an IPv6 address in brackets. Its A and AAAA records are used, unless the option
/// `mx` asks for its MX records. Credentials stand before the host, percent-encoded: `smtp://user:secret@host:587`.
/// Options follow a `?`, separated by `&`:
///
/// - `mx`: look up MX records of the host.
/// - `tls=none|opportunistic|required|verified`: `required` gives up where STARTTLS is not offered, `verified` also checks the
///   certificate against the host's name. Default: `opportunistic`, for `smtps` `verified` (which `tls=required` relaxes).
/// - `auth=clear`: credentials may be sent without TLS. Only for networks one trusts.
/// - `source=ADDRESS`: the local address that connections come from, at most one IPv4 and one IPv6.
/// - `helo=NAME`: this host's name in EHLO there.
///
/// At most 255 octets (`RoutingLimits.nextHopText`).
public struct NextHop: Hashable, Sendable {
  public enum Dialect: String, Hashable, Sendable { case smtp, lmtp }

  public enum Target: Hashable, Sendable {
    /// A domain name in A-labels, lower case.
    case host(String)
    case address(IPAddress)
    case unix(path: String)
  }

  /// What AUTH is given (RFC 4954).
  public struct Credentials: Hashable, Sendable {
    public var user: String
    public var password: String

    public init(user: String, password: String) {
      self.user = user
      self.password = password
    }
  }

  public var dialect: Dialect
  public var target: Target
  /// 0 for a Unix socket.
  public var port: UInt16
  /// TLS starts with the first byte.
  public var isImplicitTLS: Bool
  public var tls: TLSPolicy
  public var usesMX: Bool
  public var credentials: Credentials?
  /// Credentials may go out without TLS.
  public var allowsClearAuthentication: Bool
  /// Where connections come from; nil: as those to any other.
  public var source: ConnectionSource?

  public init(
    dialect: Dialect = .smtp, target: Target, port: UInt16? = nil, isImplicitTLS: Bool = false, tls: TLSPolicy = .opportunistic,
    usesMX: Bool = false, credentials: Credentials? = nil, allowsClearAuthentication: Bool = false, source: ConnectionSource? = nil
  ) {
    self.dialect = dialect
    self.target = target
    self.port = port ?? Self.defaultPort(dialect, implicitTLS: isImplicitTLS, target)
    self.isImplicitTLS = isImplicitTLS
    self.tls = tls
    self.usesMX = usesMX
    self.credentials = credentials
    self.allowsClearAuthentication = allowsClearAuthentication
    self.source = source
  }

  /// What identifies it to people and in the queue: its text without the password.
  public var name: String { text(password: nil) }

  /// Its whole text, password included: what `init(parsing:)` reads. Never to be logged.
  public var secretText: String { text(password: credentials?.password) }

  static func defaultPort(_ dialect: Dialect, implicitTLS: Bool, _ target: Target) -> UInt16 {
    if case .unix = target { return 0 }
    if dialect == .lmtp { return 24 }
    return implicitTLS ? 465 : 25
  }

  private func text(password: String?) -> String {
    var text = isImplicitTLS ? "smtps://" : dialect.rawValue
    var isUnix = false
    if case .unix = target { isUnix = true }
    if !isImplicitTLS { text += isUnix ? "+unix://" : "://" }
    if let credentials {
      text += PercentCoding.encode(credentials.user)
      if let password { text += ":" + PercentCoding.encode(password) }
      text += "@"
    }
    switch target {
    case .host(let name): text += name
    case .address(let address): text += address.isIPv4 ? "\(address)" : "[\(address)]"
    case .unix(let path): text += PercentCoding.encode(path, keeping: 0x2F)
    }
    if !isUnix, port != Self.defaultPort(dialect, implicitTLS: isImplicitTLS, target) { text += ":\(port)" }
    var options: [String] = []
    if usesMX { options.append("mx") }
    if tls != (isImplicitTLS ? .verified : .opportunistic) { options.append("tls=\(tls.rawValue)") }
    if allowsClearAuthentication { options.append("auth=clear") }
    for address in source?.addresses ?? [] { options.append("source=\(address)") }
    if let helo = source?.helo { options.append("helo=\(helo)") }
    return options.isEmpty ? text : text + "?" + options.joined(separator: "&")
  }
}

/// Percent-encoding of RFC 3986, 2.1, for the parts of a next hop.
enum PercentCoding {
  static func encode(_ text: String, keeping kept: UInt8? = nil) -> String {
    var result = ""
    for byte in text.utf8 {
      if byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E || byte == kept {
        result.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        result += byte < 16 ? "%0\(String(byte, radix: 16, uppercase: true))" : "%\(String(byte, radix: 16, uppercase: true))"
      }
    }
    return result
  }

  /// `nil` for a broken escape, a control character, or what is not UTF-8.
  static func decode(_ bytes: some Sequence<UInt8>) -> String? {
    var cursor = ByteCursor(Array(bytes))
    var result: [UInt8] = []
    while let byte = cursor.next() {
      guard byte == 0x25 else {
        result.append(byte)
        continue
      }
      let digits = cursor.take(atMost: 2) { $0.isASCIIDigit || ($0.asciiLowercased >= 0x61 && $0.asciiLowercased <= 0x66) }
      guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else { return nil }
      result.append(value)
    }
    guard !result.contains(where: \.isASCIIControl) else { return nil }
    return String(validating: result, as: UTF8.self)
  }
}
