import Bytes

/// The postmaster's routes: which domains go to which next hop, whatever the DNS says.
///
/// A pattern is an exact domain (`example.net`), a suffix (`.example.net`: everything below it, not itself), or `*`. An exact
/// domain wins over suffixes, a longer suffix over a shorter one, `*` comes last. A table gives nobody the right to relay.
public struct RouteTable: Hashable, Sendable {
  /// A pattern that no table takes.
  public struct PatternError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
  }

  /// One line of the table.
  public struct Entry: Hashable, Sendable {
    public var pattern: String
    public var nextHop: NextHop

    public init(pattern: String, nextHop: NextHop) {
      self.pattern = pattern
      self.nextHop = nextHop
    }
  }

  private var exact: [String: NextHop] = [:]
  private var suffixes: [String: NextHop] = [:]
  private var everything: NextHop?
  private var named: [String: NextHop] = [:]

  /// An empty table: everything goes by MX.
  public init() {}

  /// A table of `entries`; patterns may be in U-labels. The same pattern twice is an error.
  public init(_ entries: [Entry]) throws(PatternError) {
    for entry in entries { try add(entry) }
  }

  private mutating func add(_ entry: Entry) throws(PatternError) {
    let pattern = entry.pattern
    let replaced: NextHop?
    if pattern == "*" {
      replaced = everything
      everything = entry.nextHop
    } else if pattern.utf8.first == 0x2E {
      guard let name = DomainName.normalized(String(pattern.dropFirst())) else { throw Self.unknown(pattern) }
      replaced = suffixes.updateValue(entry.nextHop, forKey: name)
    } else {
      guard let name = DomainName.normalized(pattern) else { throw Self.unknown(pattern) }
      replaced = exact.updateValue(entry.nextHop, forKey: name)
    }
    guard replaced == nil else { throw PatternError(description: "the domain \(pattern) has two routes") }
    if named[entry.nextHop.name] == nil || entry.nextHop.credentials != nil { named[entry.nextHop.name] = entry.nextHop }
  }

  private static func unknown(_ pattern: String) -> PatternError {
    PatternError(description: "\(String.escaped(pattern.utf8, limit: 80)) is no domain; expected example.net, .example.net or *")
  }

  /// The next hop of `domain` (normalized: `DomainName.normalized`); nil if MX decides. At most 127 steps, one a label.
  public func nextHop(for domain: String) -> NextHop? {
    exact[domain] ?? nextHop(aboveOrEverything: domain)
  }

  /// By a suffix above `domain`, else by `*`.
  private func nextHop(aboveOrEverything domain: String) -> NextHop? {
    if !suffixes.isEmpty {
      var rest = domain[...]
      while let dot = rest.utf8.firstIndex(of: 0x2E) {
        rest = rest[rest.utf8.index(after: dot)...]
        if let found = suffixes[String(rest)] { return found }
      }
    }
    return everything
  }

  /// Where everything goes that a pattern (`example.net`, `.example.net`, `*`) means; nil if some of it may go by MX.
  public func nextHop(forAll pattern: String) -> NextHop? {
    if pattern == "*" { return everything }
    guard pattern.utf8.first == 0x2E else { return DomainName.normalized(pattern).flatMap { nextHop(for: $0) } }
    guard let suffix = DomainName.normalized(String(pattern.dropFirst())) else { return nil }
    return suffixes[suffix] ?? nextHop(aboveOrEverything: suffix)
  }

  /// The table's next hop of that `name` (`NextHop.name`, which has no password), so that its credentials are found again.
  public func nextHop(named name: String) -> NextHop? { named[name] }
}
