import Outside

/// What a router goes by; replaced as a whole when the configuration is read again.
public struct RouterSettings: Sendable {
  /// Names of this host, normalized: MX records that name one of them, and those at or above their preference, are not used.
  public var ownNames: Set<String>
  /// Addresses that this host listens on, for the same purpose.
  public var ownAddresses: Set<IPAddress>
  public var table: RouteTable
  /// Whether the DNS may lead to addresses that are not of the public internet. Explicit routes always may. Default false.
  public var allowsInternalAddresses: Bool
  /// Whether AAAA records are looked up and used. Default true.
  public var usesIPv6: Bool
  /// The port of hosts found by MX or address records (RFC 5321, 4.5.4.2). Default 25; tests use others.
  public var port: UInt16
  public var limits: RoutingLimits

  public init(
    hostname: String, ownNames: Set<String> = [], ownAddresses: Set<IPAddress> = [], table: RouteTable = RouteTable(),
    allowsInternalAddresses: Bool = false, usesIPv6: Bool = true, port: UInt16 = 25, limits: RoutingLimits = RoutingLimits()
  ) {
    self.ownNames = Set((ownNames.union([hostname])).compactMap(DomainName.normalized))
    self.ownAddresses = ownAddresses
    self.table = table
    self.allowsInternalAddresses = allowsInternalAddresses
    self.usesIPv6 = usesIPv6
    self.port = port
    self.limits = limits
  }
}
