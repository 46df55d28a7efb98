import Bytes

/// A network in CIDR form (RFC 4632, 3.1; RFC 4291, 2.3): an address whose bits beyond `length` are zero.
public struct NetworkPrefix: Hashable, Sendable, CustomStringConvertible {
  public let address: IPAddress
  /// Bits that count: 0 to 32 or 0 to 128.
  public let length: Int

  /// The network of `length` bits that `address` is in; `length` is held to what the family has.
  public init(address: IPAddress, length: Int) {
    self.length = min(max(length, 0), address.bitCount)
    var bytes = address.bytes
    for index in bytes.indices { bytes[index] &= Self.mask(byte: index, length: self.length) }
    // 4 or 16 bytes as they came, so an address; a zeroed prefix of a mapped one can't occur, those are held as IPv4.
    self.address = IPAddress(bytes: bytes) ?? address
  }

  /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address alone. Nil for anything else, also if bits behind the length are set
  /// (`192.0.2.1/24`): then it is not clear what was meant.
  public init?(_ text: String) {
    let parts = text.utf8.split(separator: 0x2F, maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let address = IPAddress(parsing: first) else { return nil }
    guard parts.count == 2, let digits = parts.last else {
      self.init(address: address, length: address.bitCount)
      return
    }
    var cursor = ByteCursor(Array(digits))
    guard let number = cursor.takeDecimal(digits: 3, maximum: 128), cursor.isAtEnd else { return nil }
    var length = Int(truncatingIfNeeded: number)
    if address.isIPv4, first.contains(0x3A) {
      // A prefix of IPv4-mapped addresses is a prefix of IPv4.
      guard length >= 96 else { return nil }
      length -= 96
    }
    guard length <= address.bitCount else { return nil }
    self.init(address: address, length: length)
    guard self.address == address else { return nil }
  }

  /// Whether `other` lies in this network. Addresses of the other family never do.
  public func contains(_ other: IPAddress) -> Bool {
    guard other.bytes.count == address.bytes.count else { return false }
    for (index, (own, given)) in zip(address.bytes, other.bytes).enumerated()
    where given & Self.mask(byte: index, length: length) != own {
      return false
    }
    return true
  }

  public var description: String { "\(address)/\(length)" }

  private static func mask(byte index: Int, length: Int) -> UInt8 {
    let bits = min(max(length - index * 8, 0), 8)
    return bits == 0 ? 0 : 0xFF << (8 - UInt8(bits))
  }

  /// IPv4 in IPv6 through a translator (RFC 6052, 2.1).
  static let translated = NetworkPrefix(address: .init(ipv6Groups: 0x64, 0xFF9B), length: 96)
  /// 6to4 (RFC 3056, 2).
  static let sixToFour = NetworkPrefix(address: .init(ipv6Groups: 0x2002, 0), length: 16)

  /// Networks that are not the public internet (RFC 6890, 2.2.2 and 2.2.3).
  static let special: [NetworkPrefix] = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/127", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
  ].compactMap { NetworkPrefix($0) }
}

extension IPAddress {
  /// An IPv6 address whose first two groups are given and whose others are zero.
  init(ipv6Groups first: UInt16, _ second: UInt16) {
    self.bytes =
      [first, second].flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
      + [UInt8](repeating: 0, count: 12)
  }
}
