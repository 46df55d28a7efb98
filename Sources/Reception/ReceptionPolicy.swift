import Configuration
import Outside

/// What reception decides by: the settings of one configuration, replaced as a whole by a reload.
public struct ReceptionPolicy: Sendable {
  /// The host's name, in `Received` and replies.
  public var hostname: String
  /// Who may relay.
  public var trusted: [NetworkPrefix]
  /// Who must speak PROXY first.
  public var proxies: [NetworkPrefix]
  /// Who may use XCLIENT.
  public var xclients: [NetworkPrefix]
  /// `Received` fields a message may bring: 50. More: `554 5.4.6` (RFC 5321, 6.3).
  public var hops: Int

  public init(
    hostname: String, trusted: [NetworkPrefix] = [], proxies: [NetworkPrefix] = [], xclients: [NetworkPrefix] = [], hops: Int = 50
  ) {
    self.hostname = hostname
    self.trusted = trusted
    self.proxies = proxies
    self.xclients = xclients
    self.hops = hops
  }

  func client(remote: Endpoint, local: Endpoint) -> Client {
    Client(
      remote: remote, local: local, isTrusted: Self.contains(remote, in: trusted), isProxy: Self.contains(remote, in: proxies),
      mayUseXCLIENT: Self.contains(remote, in: xclients))
  }

  /// A Unix socket has no address: its file's mode says who may use it, so it is in no list.
  private static func contains(_ endpoint: Endpoint, in networks: [NetworkPrefix]) -> Bool {
    guard case .ip(let address, _) = endpoint else { return false }
    return networks.contains { $0.contains(address) }
  }
}
