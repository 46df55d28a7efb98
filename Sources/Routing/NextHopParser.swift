import Bytes
import Outside

/// Why a next hop's text was refused.
public struct NextHopError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What was wrong and what was expected, for the person who wrote it. Holds no password.
  public var description: String

  init(_ description: String) { self.description = description }
}

extension NextHop {
  /// Reads the text of a next hop (syntax: see the type).
  public init(parsing text: some StringProtocol) throws(NextHopError) {
    guard text.utf8.count <= RoutingLimits.nextHopText else {
      throw NextHopError("a next hop has at most \(RoutingLimits.nextHopText) octets")
    }
    guard let separator = text.range(ofASCII: "://") else {
      throw NextHopError("a next hop is smtp://host:port, smtps://host:port, lmtp://host:port or lmtp+unix:///path")
    }
    let scheme = String(text[..<separator.lowerBound]).asciiLowercased
    var rest = text[separator.upperBound...]
    var options: [Substring] = []
    if let question = rest.firstIndex(of: "?") {
      options = String(rest[rest.index(after: question)...]).split(separator: "&")
      rest = rest[..<question]
    }
    let credentials = try Self.takeCredentials(&rest)
    switch scheme {
    case "smtp", "smtps", "lmtp":
      let (target, port) = try Self.parseHost(rest)
      self.init(
        dialect: scheme == "lmtp" ? .lmtp : .smtp, target: target, port: port, isImplicitTLS: scheme == "smtps",
        tls: scheme == "smtps" ? .verified : .opportunistic, credentials: credentials)
    case "lmtp+unix":
      guard let path = PercentCoding.decode(rest.utf8), path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count <= 107 else {
        throw NextHopError("lmtp+unix:// is followed by the absolute path of a socket, at most 107 octets")
      }
      self.init(dialect: .lmtp, target: .unix(path: path), tls: .none, credentials: credentials)
      tls = .opportunistic
    default:
      throw NextHopError("unknown scheme \(String.escaped(scheme.utf8, limit: 32)); expected smtp, smtps, lmtp or lmtp+unix")
    }
    for option in options { try apply(String(option)) }
    // The queue keeps the percent-encoded text, which may be longer, and must be able to read it again.
    guard secretText.utf8.count <= RoutingLimits.nextHopText else {
      throw NextHopError("a next hop has at most \(RoutingLimits.nextHopText) octets, percent-encoded")
    }
  }

  private mutating func apply(_ option: String) throws(NextHopError) {
    switch option {
    case "mx":
      guard case .host = target else { throw NextHopError("mx needs a host name to look up") }
      usesMX = true
    case "auth=clear": allowsClearAuthentication = true
    case _ where option.hasPrefix("tls="):
      guard let value = TLSPolicy(rawValue: String(option.dropFirst(4))) else {
        throw NextHopError("tls is none, opportunistic, required or verified")
      }
      guard !isImplicitTLS || value == .required || value == .verified else {
        throw NextHopError("smtps is encrypted always: tls is required or verified")
      }
      tls = value
    case _ where option.hasPrefix("source="):
      guard let address = IPAddress(parsing: option.dropFirst(7).utf8) else {
        throw NextHopError("source is an IP address of this host")
      }
      var source = source ?? ConnectionSource()
      guard !source.addresses.contains(where: { $0.isIPv4 == address.isIPv4 }) else {
        throw NextHopError("at most one IPv4 and one IPv6 source")
      }
      source.addresses.append(address)
      self.source = source
    case _ where option.hasPrefix("helo="):
      guard let name = DomainName.normalized(String(option.dropFirst(5))), name.utf8.first != 0x5B else {
        throw NextHopError("helo is a host name")
      }
      var source = source ?? ConnectionSource()
      source.helo = name
      self.source = source
    default:
      throw NextHopError(
        "unknown option \(String.escaped(option.utf8, limit: 32)); expected mx, tls=..., auth=clear, source=... or helo=...")
    }
  }

  private static func takeCredentials<Text: StringProtocol>(
    _ rest: inout Text
  ) throws(NextHopError) -> Credentials? where Text.SubSequence == Text {
    guard let at = rest.lastIndex(of: "@") else { return nil }
    let info = rest[..<at]
    rest = rest[rest.index(after: at)...]
    let parts = String(info).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let user = PercentCoding.decode(first.utf8), !user.isEmpty,
      let password = PercentCoding.decode((parts.count > 1 ? parts[1] : "").utf8)
    else { throw NextHopError("credentials are user:password, percent-encoded") }
    return Credentials(user: user, password: password)
  }

  /// `host`, `host:port`, `192.0.2.1:25`, `[2001:db8::1]:25`.
  private static func parseHost(_ text: some StringProtocol) throws(NextHopError) -> (Target, UInt16?) {
    var text = String(text)
    if text.hasSuffix("/") { text.removeLast() }
    var host = Substring(text)
    var port: UInt16?
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
      guard let number = UInt16(text[text.index(after: colon)...]), number > 0 else {
        throw NextHopError("a port is a number from 1 to 65535 (IPv6 addresses stand in brackets)")
      }
      port = number
      host = text[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      guard let address = IPAddress(parsing: host.dropFirst().dropLast().utf8) else {
        throw NextHopError("\(String.escaped(host.utf8, limit: 64)) is not an IP address in brackets")
      }
      return (.address(address), port)
    }
    if let address = IPAddress(parsing: host.utf8), address.isIPv4 { return (.address(address), port) }
    // A name whose last label is a number is a mistyped address; the queue would read it as one.
    guard host.utf8.first != 0x5B, let name = DomainName.normalized(String(host)),
      name.utf8.split(separator: 0x2E).last?.allSatisfy(\.isASCIIDigit) == false
    else {
      throw NextHopError("\(String.escaped(host.utf8, limit: 64)) is neither a host name nor an IP address")
    }
    return (.host(name), port)
  }
}

extension StringProtocol {
  /// Where `text` (ASCII) stands first.
  func range(ofASCII text: StaticString) -> Range<Index>? {
    let wanted = text.withUTF8Buffer { Array($0) }
    var index = startIndex
    while index < endIndex {
      if utf8[index...].starts(with: wanted), let end = utf8.index(index, offsetBy: wanted.count, limitedBy: endIndex) {
        return index..<end
      }
      index = utf8.index(after: index)
    }
    return nil
  }
}
