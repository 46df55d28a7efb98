import Bytes

/// An IP address as its bytes: 4 for IPv4, 16 for IPv6. IPv4-mapped IPv6 addresses are held as IPv4.
public struct IPAddress: Hashable, Sendable {
  public let bytes: [UInt8]

  /// Takes 4 or 16 bytes; `nil` for any other count.
  public init?(bytes: [UInt8]) {
    switch bytes.count {
    case 4: self.bytes = bytes
    case 16: self.bytes = bytes.starts(with: Self.mappedPrefix) ? Array(bytes[12...]) : bytes
    default: return nil
    }
  }

  /// `::ffff:0:0/96` (RFC 4291, 2.5.5.2).
  static let mappedPrefix: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]

  public var isIPv4: Bool { bytes.count == 4 }

  /// The bits of one address of this family: 32 or 128.
  public var bitCount: Int { isIPv4 ? 32 : 128 }

  /// The name whose PTR record says who it is (RFC 1035, 3.5; RFC 3596, 2.5).
  public var reverseName: String {
    guard !isIPv4 else { return bytes.reversed().map { String($0) }.joined(separator: ".") + ".in-addr.arpa" }
    return bytes.reversed().map { "\(String($0 & 15, radix: 16)).\(String($0 >> 4, radix: 16))" }.joined(separator: ".")
      + ".ip6.arpa"
  }

  /// Whether it is an address of this host alone (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
  public var isLoopback: Bool { isIPv4 ? bytes.first == 127 : bytes == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] }

  /// Whether a host of the public internet can have it: not this host or network, private, shared, link-local, documentation,
  /// benchmarking, multicast or reserved (RFC 6890), nor an IPv6 form that carries such an IPv4 address (RFC 6052, RFC 3056).
  public var isPublic: Bool {
    if !isIPv4 {
      if NetworkPrefix.translated.contains(self), let inner = IPAddress(bytes: Array(bytes.suffix(4))) { return inner.isPublic }
      if NetworkPrefix.sixToFour.contains(self), let inner = IPAddress(bytes: Array(bytes[2..<6])) { return inner.isPublic }
    }
    return !NetworkPrefix.special.contains { $0.contains(self) }
  }

  /// What counts as one client: the address itself for IPv4, its /64 for IPv6 (RFC 4291, 2.5.4).
  public var clientNetwork: NetworkPrefix { NetworkPrefix(address: self, length: isIPv4 ? 32 : 64) }
}

/// One end of a connection.
public enum Endpoint: Hashable, Sendable {
  case ip(IPAddress, port: UInt16)
  case unix(path: String)
}

extension Endpoint: CustomStringConvertible {
  /// `192.0.2.1:25`, `[2001:db8::1]:25` or `unix:/run/socket`.
  public var description: String {
    switch self {
    case .ip(let address, let port): address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// The address, if it is one of IP.
  public var address: IPAddress? {
    if case .ip(let address, _) = self { return address }
    return nil
  }

  /// Reads what `description` writes; nil for anything else (names are not looked up).
  public init?(_ text: String) {
    if text.utf8.starts(with: "unix:".utf8) {
      let path = String(text.dropFirst(5))
      guard !path.isEmpty, !path.utf8.contains(0) else { return nil }
      self = .unix(path: path)
      return
    }
    guard let colon = text.utf8.lastIndex(of: 0x3A) else { return nil }
    var host = text.utf8[..<colon]
    var digits = ByteCursor(Array(text.utf8[text.utf8.index(after: colon)...]))
    guard let number = digits.takeDecimal(digits: 5, maximum: 65_535), digits.isAtEnd else { return nil }
    if host.first == 0x5B {
      guard host.last == 0x5D else { return nil }
      host = host.dropFirst().dropLast()
      guard host.contains(0x3A) else { return nil }
    } else if host.contains(0x3A) {
      return nil
    }
    guard let address = IPAddress(parsing: host) else { return nil }
    self = .ip(address, port: UInt16(truncatingIfNeeded: number))
  }
}
