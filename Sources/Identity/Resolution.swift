import InternetMessage
import MailModel

/// What an address means here.
public enum Resolution: Hashable, Sendable {
  /// Mailboxes of this host, addresses elsewhere, or both.
  case deliverable(Expansion)
  /// The domain is accepted and passed on.
  case relayDomain
  /// Not ours: only trusted clients may send there.
  case unknownDomain
  /// The domain is ours, nobody has that name.
  case unknownUser
  /// The account does not take mail now.
  case disabled
  /// Its aliases lead to one another without end, or further than the limit.
  case loop
  /// It expands to more recipients than the limit.
  case tooManyTargets
}

/// Where mail for one address goes.
public struct Expansion: Hashable, Sendable {
  /// An account, and the address that led there (with its subaddress).
  public struct Target: Hashable, Sendable {
    public var account: AccountID
    public var address: EmailAddress

    public init(account: AccountID, address: EmailAddress) {
      self.account = account
      self.address = address
    }
  }

  /// Each account once, in the order they were found.
  public var local: [Target]
  /// Each address elsewhere once, in the order they were found.
  public var remote: [EmailAddress]
  /// Targets of aliases that live here but can't take mail (unknown or disabled); the others get theirs.
  public var undeliverable: [EmailAddress]
  /// How the address was understood, for the trace: `account`, `alias`, `catch-all`, `postmaster`.
  public var explanation: String

  public init(local: [Target] = [], remote: [EmailAddress] = [], undeliverable: [EmailAddress] = [], explanation: String) {
    self.local = local
    self.remote = remote
    self.undeliverable = undeliverable
    self.explanation = explanation
  }
}
