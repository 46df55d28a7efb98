import Outside

/// Where connections to next hops come from, and the name they go by.
public struct ConnectionSource: Hashable, Sendable {
  /// Addresses of this host, at most one of a family; for a family without one the system chooses.
  public var addresses: [IPAddress]
  /// The name in EHLO and LHLO that belongs to them (RFC 5321, 4.1.1.1); nil: this host's own.
  public var helo: String?

  public init(addresses: [IPAddress] = [], helo: String? = nil) {
    self.addresses = addresses
    self.helo = helo
  }

  /// Nothing is said: the system chooses, and the host's own name is given.
  public var isDefault: Bool { addresses.isEmpty && helo == nil }

  /// The address for connections to `endpoint`: the one of its family.
  public func address(for endpoint: Endpoint) -> IPAddress? {
    guard case .ip(let remote, _) = endpoint else { return nil }
    return addresses.first { $0.isIPv4 == remote.isIPv4 }
  }
}
