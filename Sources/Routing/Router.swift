import InternetMessage
import Outside
import Synchronization

/// Answers where mail goes. Safe to use from any loop; keeps no answers (the resolver caches, the scheduler keeps routes for
/// their time to live).
public final class Router: Sendable {
  private let settings: Mutex<RouterSettings>
  private let resolver: Mutex<any Resolver>
  private let random: any RandomSource

  public init(settings: RouterSettings, resolver: any Resolver, random: any RandomSource) {
    self.settings = Mutex(settings)
    self.resolver = Mutex(resolver)
    self.random = random
  }

  /// Takes other settings for every look-up that begins from now on.
  public func update(_ settings: RouterSettings) {
    self.settings.withLock { $0 = settings }
  }

  /// Asks another resolver in every look-up that begins from now on.
  public func use(_ resolver: any Resolver) {
    self.resolver.withLock { $0 = resolver }
  }

  /// What to store as the destination of a queued recipient: its domain in A-labels, or its address literal. Routes are applied
  /// when the message leaves, so that queued mail follows a changed table.
  public static func destination(of address: EmailAddress) -> String {
    DomainName.normalized(address.domain) ?? address.domain
  }

  /// What recipients are gathered by into one transaction: the next hop's name where a route (or `reroute`) decides, the domain
  /// itself elsewhere. Never waits.
  public func group(of destination: String) -> String {
    guard !Self.isNextHop(destination) else { return destination }
    return settings.withLock { $0.table.nextHop(for: destination)?.name } ?? destination
  }

  /// Where `destination` (a domain, an address literal, or the text of a next hop) goes now. Waits for the DNS where it must.
  public func route(_ destination: String) async -> RouteDecision {
    let settings = settings.withLock { $0 }
    let lookup = RouteLookup(settings: settings, resolver: resolver.withLock { $0 }, random: random)
    if Self.isNextHop(destination) {
      if let known = settings.table.nextHop(named: destination) {
        return await lookup.explicit(known, source: "route \(destination)")
      }
      do throws(NextHopError) {
        let nextHop = try NextHop(parsing: destination)
        return await lookup.explicit(nextHop, source: "rerouted \(nextHop.name)")
      } catch {
        return .transient(reason: "451 4.3.5 Next hop can't be used: \(error)", RouteEvidence(source: "rerouted"))
      }
    }
    if let nextHop = settings.table.nextHop(for: destination) {
      return await lookup.explicit(nextHop, source: "route \(nextHop.name)")
    }
    return destination.utf8.first == 0x5B ? lookup.literal(destination) : await lookup.mailExchangers(of: destination)
  }

  /// Whether a destination is the text of a next hop (`reroute`) and no domain.
  public static func isNextHop(_ destination: String) -> Bool { destination.range(ofASCII: "://") != nil }
}
