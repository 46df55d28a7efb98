import MailModel

/// What an account holds.
public struct Holding: Hashable, Sendable {
  public var account: AccountID
  public var messages: Int
  public var octets: Int64

  public init(account: AccountID, messages: Int, octets: Int64) {
    self.account = account
    self.messages = messages
    self.octets = octets
  }
}

public struct Usage: Hashable, Sendable {
  public var messages: Int
  public var octets: Int64
  public var quota: Int64
  /// What the accounts of the domain hold together; counted only if it has a quota, else 0.
  public var domainOctets: Int64
  public var domainQuota: Int64
  public init(messages: Int, octets: Int64, quota: Int64, domainOctets: Int64, domainQuota: Int64) {
    self.messages = messages
    self.octets = octets
    self.quota = quota
    self.domainOctets = domainOctets
    self.domainQuota = domainQuota
  }
}
