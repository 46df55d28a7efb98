import Configuration
import Delivery
import Foundation
import Outside
import Routing

extension Settings {
  /// `[[route]]` with the passwords its files hold. A file that can't be read is named in the error.
  static func routeTable(_ configuration: Configuration) throws -> RouteTable {
    try RouteTable(configuration.routes, passwords: ConfigurationFile.passwords(configuration))
  }

  /// `[dns]`; several files of anchors count as one.
  static func resolver(_ configuration: Configuration) throws -> ResolverConfiguration {
    let section = configuration.dns
    var anchors: [String] = []
    for file in section.trustAnchors {
      anchors += try String(contentsOfFile: file, encoding: .utf8).split(whereSeparator: \.isNewline).map(String.init)
        .filter { !$0.allSatisfy(\.isWhitespace) && !$0.hasPrefix(";") }
    }
    return ResolverConfiguration(
      servers: section.servers.map { .ip($0.address, port: $0.port) },
      trustAnchors: section.trustAnchors.isEmpty ? .automatic : .records(anchors))
  }

  static func router(_ configuration: Configuration, table: RouteTable, addresses: [Endpoint]) -> RouterSettings {
    var own = InterfaceAddresses.all()
    for case .ip(let address, _) in addresses where !address.bytes.allSatisfy({ $0 == 0 }) { own.insert(address) }
    // Loopback is everybody's own; whether it may be used at all is another rule's matter.
    return RouterSettings(
      hostname: configuration.hostname, ownAddresses: own.filter { !$0.isLoopback }, table: table,
      allowsInternalAddresses: configuration.delivery.allowsInternalAddresses)
  }

  static func delivery(_ configuration: Configuration) -> DeliverySettings {
    let section = configuration.delivery
    var limits = DeliveryLimits()
    limits.connections = section.concurrency
    limits.connectionsPerDestination = section.connectionsPerDestination
    limits.recipientsPerTransaction = section.recipientsPerTransaction
    limits.messagesPerConnection = section.messagesPerConnection
    var times = DeliveryTimes()
    times.connect = section.connectTimeout
    times.idle = section.idleTimeout
    times.tlsFailure = section.tlsFailureMemory
    var retry = RetryPolicy()
    retry.firstRetry = configuration.queue.firstRetry
    retry.maximumRetry = configuration.queue.maximumRetry
    retry.lifetime = configuration.queue.lifetime
    retry.delayNotice = configuration.queue.delayNotice
    var settings = DeliverySettings(
      hostname: configuration.hostname, limits: limits, times: times, retry: retry, source: ConnectionSource(section.source))
    settings.senderSources = configuration.senders.map { .init(pattern: $0.pattern.text, source: ConnectionSource($0.source)) }
    settings.rules = configuration.destinations.map(rule)
    settings.softBounces = configuration.queue.softBounces
    return settings
  }

  /// `[[destination]]`; 0 is no bound.
  private static func rule(_ section: Configuration.Destination) -> DestinationRule {
    func bound(_ number: Int) -> Int? { number > 0 ? number : nil }
    return DestinationRule(
      domains: section.domains, hosts: section.hosts, concurrency: bound(section.concurrency),
      connectionsPerMinute: bound(section.connectionsPerMinute), messagesPerMinute: bound(section.messagesPerMinute),
      messagesPerHour: bound(section.messagesPerHour), messagesPerConnection: bound(section.messagesPerConnection))
  }
}
