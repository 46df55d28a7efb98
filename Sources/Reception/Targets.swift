import InternetMessage
import MailModel

/// Where copies of a message go, each mailbox and each address once.
struct Targets: Sendable {
  private var accounts: Set<AccountID> = []
  private var remote: Set<EmailAddress> = []
  private var here: Set<String> = []

  var count: Int { accounts.count + remote.count + here.count }

  /// False if the mailbox has its copy already.
  mutating func insert(_ account: AccountID) -> Bool { accounts.insert(account).inserted }

  /// An address elsewhere. The local part is the other host's: only the domain compares without case and as A-labels (RFC 5321, 2.4).
  mutating func insert(remote address: EmailAddress) -> Bool {
    remote.insert(EmailAddress(localPart: address.localPart, domain: address.asciiDomain ?? address.domain)).inserted
  }

  /// An address here that can't take mail now.
  mutating func insert(undeliverable address: EmailAddress) -> Bool { here.insert(address.lookupKey).inserted }

  mutating func insert(_ judged: JudgedRecipient) {
    for target in judged.local { _ = insert(target.account) }
    for address in judged.remote { _ = insert(remote: address) }
    for address in judged.undeliverable { _ = insert(undeliverable: address) }
  }

  /// How many of `other` are not among these.
  func missing(of other: Targets) -> Int {
    other.accounts.count { !accounts.contains($0) } + other.remote.count { !remote.contains($0) }
      + other.here.count { !here.contains($0) }
  }
}

/// Counts what the recipients of one transaction lead to, so that a message is never taken for more than the store takes of one.
///
/// Recipients are only added up as long as that stays within the limit, which nearly all do; what repeats is told apart from there on.
public struct TargetCount: Sendable {
  public enum Answer: Hashable, Sendable {
    case fits
    /// It would with fewer before it: in a transaction of its own.
    case tooManyTogether
    /// It never does.
    case tooManyAlone
  }

  private let limit: Int
  /// Repetitions included.
  private var sum = 0
  private var distinct: Targets?

  public init(limit: Int) { self.limit = limit }

  /// Counts `recipient`, if it fits beside `others`, which were counted before.
  public mutating func add(_ recipient: JudgedRecipient, to others: [JudgedRecipient]) -> Answer {
    let most = recipient.local.count + recipient.remote.count + recipient.undeliverable.count
    if distinct == nil, most <= limit - sum {
      sum += most
      return .fits
    }
    var own = Targets()
    own.insert(recipient)
    guard own.count <= limit else { return .tooManyAlone }
    var all = distinct ?? Targets()
    if distinct == nil { for other in others { all.insert(other) } }
    distinct = nil
    let fits = own.count <= limit - all.count || all.missing(of: own) <= limit - all.count
    if fits { all.insert(recipient) }
    distinct = all
    return fits ? .fits : .tooManyTogether
  }
}
