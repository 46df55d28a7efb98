import InternetMessage
import Outside

/// A domain this host knows.
public struct Domain: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable {
    /// Accounts and aliases live here.
    case local = 0
    /// Accepted and passed on by route or MX (also as backup MX).
    case relay = 1
  }

  /// A-labels, lower case.
  public var name: String
  public var kind: Kind
  /// Octets all its accounts together may hold; 0 is unlimited.
  public var quota: Int64
  /// Where mail for unknown local parts goes; nil refuses it.
  public var catchAll: EmailAddress?

  public init(name: String, kind: Kind, quota: Int64 = 0, catchAll: EmailAddress? = nil) {
    self.name = name
    self.kind = kind
    self.quota = quota
    self.catchAll = catchAll
  }
}

/// A person or program with mailboxes.
public struct Account: Hashable, Sendable {
  public var id: AccountID
  /// Its main address; local part in lower case.
  public var address: EmailAddress
  /// The password as a PHC string (`$argon2id$...`), empty if it can't log in.
  public var passwordHash: String
  /// Octets it may hold; 0 is unlimited.
  public var quota: Int64
  public var isEnabled: Bool
  public var created: Timestamp

  public init(id: AccountID, address: EmailAddress, passwordHash: String, quota: Int64, isEnabled: Bool = true, created: Timestamp)
  {
    self.id = id
    self.address = address
    self.passwordHash = passwordHash
    self.quota = quota
    self.isEnabled = isEnabled
    self.created = created
  }
}

/// An address that stands for others, here or elsewhere.
public struct Alias: Hashable, Sendable {
  /// Local part in lower case.
  public var address: EmailAddress
  /// 1 to 1,000 targets.
  public var targets: [EmailAddress]

  public init(address: EmailAddress, targets: [EmailAddress]) {
    self.address = address
    self.targets = targets
  }
}

/// Everything RCPT asks, as of one moment.
public struct DirectoryContents: Sendable {
  public var domains: [Domain]
  public var accounts: [Account]
  public var aliases: [Alias]

  public init(domains: [Domain], accounts: [Account], aliases: [Alias]) {
    self.domains = domains
    self.accounts = accounts
    self.aliases = aliases
  }
}
