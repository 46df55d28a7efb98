/// An IP address as its bytes: 4 for IPv4, 16 for IPv6. IPv4-mapped IPv6 addresses are held as IPv4.
public struct IPAddress: Hashable, Sendable {
  public let bytes: [UInt8]

  /// Takes 4 or 16 bytes; `nil` for any other count.
  public init?(bytes: [UInt8]) {
    switch bytes.count {
    case 4: self.bytes = bytes
    case 16:
      let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
      self.bytes = bytes.starts(with: mapped) ? Array(bytes[12...]) : bytes
    default: return nil
    }
  }

  public var isIPv4: Bool { bytes.count == 4 }
}

/// One end of a connection.
public enum Endpoint: Hashable, Sendable {
  case ip(IPAddress, port: UInt16)
  case unix(path: String)
}
