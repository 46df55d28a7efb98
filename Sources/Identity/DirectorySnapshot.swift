import Configuration
import InternetMessage
import MailModel

/// Who lives here, as of one moment: domains, accounts and aliases, looked up by hash.
///
/// `Identity` answers who an address belongs to (`resolve`) and whether a password is right (`PasswordHash`).
///
/// Promises: a snapshot never changes, so every answer of one transaction fits the others; look-ups are pure, do no I/O, and take
/// time in proportion to the aliases they follow. `DirectoryHolder` carries the snapshot that counts now.
///
/// Limits: `DirectoryLimits`; aliases that lead to one another, too deep or to too many are refused, never followed in part.
/// Failure: none; what can't be resolved is an answer that says why.
///
/// Local parts of local domains compare without case (RFC 5321, 2.4 leaves that to us), domains as A-labels. RFCs: 5321 (4.5.1),
/// 5233 (subaddresses), 2142 (names every domain has), 9106 (Argon2).
public struct DirectorySnapshot: Sendable {
  struct DomainEntry: Sendable {
    var kind: Domain.Kind
    var catchAll: EmailAddress?
  }

  struct AccountEntry: Sendable {
    var id: AccountID
    var isEnabled: Bool
    var address: EmailAddress
    /// In PHC string form; empty if nobody can log in.
    var passwordHash: String
  }

  /// How addresses are looked up.
  public let settings: DirectorySettings

  let domains: [String: DomainEntry]
  let accounts: [String: AccountEntry]
  let aliases: [String: [EmailAddress]]
  /// Who gets mail for `postmaster` if nobody has that name; nil on a host without accounts.
  let postmaster: EmailAddress?

  /// Builds the look-up tables. Where names collide (they can't in a store that holds its rules) the first counts.
  public init(_ contents: DirectoryContents, settings: DirectorySettings = .init()) {
    self.settings = settings
    self.domains = Dictionary(
      contents.domains.map { ($0.name, DomainEntry(kind: $0.kind, catchAll: $0.catchAll)) }, uniquingKeysWith: { first, _ in first }
    )
    self.accounts = Dictionary(
      contents.accounts.map {
        ($0.address.lookupKey, AccountEntry(id: $0.id, isEnabled: $0.isEnabled, address: $0.address, passwordHash: $0.passwordHash))
      },
      uniquingKeysWith: { first, _ in first })
    self.aliases = Dictionary(contents.aliases.map { ($0.address.lookupKey, $0.targets) }, uniquingKeysWith: { first, _ in first })
    let enabled = contents.accounts.filter(\.isEnabled).min { $0.id < $1.id }
    if let chosen = settings.postmaster, accounts[chosen.lookupKey]?.isEnabled ?? true {
      self.postmaster = chosen
    } else {
      // Somebody must read it (RFC 5321, 4.5.1), so a disabled account does not count.
      self.postmaster = enabled?.address
    }
  }

  /// What this host is for `domain` (A-labels or U-labels); nil if nothing.
  public func kind(of domain: String) -> Domain.Kind? {
    domains[EmailAddress(localPart: "", domain: domain).asciiDomain ?? domain]?.kind
  }

  /// How many of each there are, for `martlet status`.
  public var counts: (domains: Int, accounts: Int, aliases: Int) { (domains.count, accounts.count, aliases.count) }
}

/// How addresses are looked up: `[directory]` of the configuration.
public struct DirectorySettings: Hashable, Sendable {
  /// What stands between `user` and `tag`; nil for no subaddresses. Default `+`.
  public var subaddressSeparator: UInt8?
  /// Who gets mail for `postmaster` where nobody has that name; nil: the enabled account made first.
  public var postmaster: EmailAddress?
  public var limits: DirectoryLimits

  public init(subaddressSeparator: UInt8? = 0x2B, postmaster: EmailAddress? = nil, limits: DirectoryLimits = .init()) {
    self.subaddressSeparator = subaddressSeparator
    self.postmaster = postmaster
    self.limits = limits
  }

  /// From the configuration. A postmaster that is no address counts as none; `martlet check` tells of it.
  public init(_ directory: Configuration.Directory) {
    self.subaddressSeparator = directory.subaddressSeparator.utf8.first
    self.postmaster = directory.postmaster.isEmpty ? nil : try? AddressParser(allowsUTF8: true).mailbox(directory.postmaster)
    self.limits = DirectoryLimits(aliasDepth: directory.aliasDepth, aliasTargets: directory.aliasTargets)
  }
}
