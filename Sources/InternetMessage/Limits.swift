/// What an address may measure (RFC 5321, 4.5.3.1). Beyond: `501 5.1.3`.
public struct AddressLimits: Hashable, Sendable {
  /// Octets of a local part, quotes resolved (RFC 5321, 4.5.3.1.1).
  public var localPart = 64
  /// Octets of a domain or address literal (RFC 5321, 4.5.3.1.2).
  public var domain = 255
  /// Octets of one label of a domain as A-label (RFC 1035, 2.3.4).
  public var label = 63
  /// Octets of the mailbox in a path: 256 with its angle brackets (RFC 5321, 4.5.3.1.3).
  public var mailbox = 254
  /// Hosts in a source route, which is read and dropped (RFC 5321, 4.1.1.3).
  public var routeHosts = 20

  public init() {}
}
