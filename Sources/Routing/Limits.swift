/// Bounds of route look-ups.
public struct RoutingLimits: Hashable, Sendable {
  /// MX records looked at, count. The rest is ignored. Default 500.
  public var mxRecords = 500

  /// Hosts of a domain whose addresses are looked up, count; best preference first. Default 20.
  public var hosts = 20

  /// Addresses kept of one host, count. Default 20.
  public var addressesPerHost = 20

  /// A route is asked for again after at most so many seconds, whatever its records' time to live. Default 3,600.
  public var longestTimeToLive: UInt32 = 3_600

  /// A route is kept at least so many seconds. Default 30.
  public var shortestTimeToLive: UInt32 = 30

  /// Octets of a next hop's text. A longer one is refused when it is read. Default 255.
  public static let nextHopText = 255

  public init() {}
}
