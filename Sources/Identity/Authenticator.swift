import InternetMessage
import MailModel
import Outside
import SASL

/// Says whether a client is who it says it is.
///
/// Promises: an unknown user, a disabled one and a wrong password get the same answer after the same work; nobody waits for another network's
/// flood of tries; a right password costs its hash once in ten minutes. Nothing here waits on an event loop's thread.
///
/// Limits: `PasswordLimits`. Failure: too much waiting is `temporary`, never a wrong yes or no.
///
/// RFCs: 4616, 4954 (4), 9106.
public final class Authenticator: Sendable {
  /// Whom a client has shown to be.
  public struct Identity: Hashable, Sendable {
    public var account: AccountID
    public var address: EmailAddress

    public init(account: AccountID, address: EmailAddress) {
      self.account = account
      self.address = address
    }
  }

  private let directory: DirectoryHolder
  private let pool: PasswordPool
  private let verified: VerifiedPasswords
  private let limits: PasswordLimits
  /// The hash that a password of an unknown user is held against: as much work as any, and nobody's.
  private let nobody: String

  /// - Parameter workers: at least one; as many hashes are worked on at one time.
  public init(
    directory: DirectoryHolder, workers: [any SerialWorker], random: some RandomSource, clock: any Clock,
    limits: PasswordLimits = .init()
  ) throws(PasswordHash.Problem) {
    self.directory = directory
    self.limits = limits
    self.pool = PasswordPool(workers: workers, limits: limits)
    self.verified = VerifiedPasswords(secret: random.bytes(32), clock: clock, limits: limits)
    self.nobody = try PasswordHash.make(of: random.bytes(32), random: random, limits: limits)
  }

  /// Whether `password` is that of the account `user` (its address), who may act as `actsAs` (nil: as himself).
  ///
  /// - Parameter client: the address that asks; nil for a client without one. Its network's share of the work is bounded.
  public func check(user: String, password: [UInt8], actsAs: String?, client: IPAddress?) async -> Result<Identity, SASLFailure> {
    let account = directory.snapshot.login(user)
    let hash = account?.passwordHash ?? ""
    if let account, account.isEnabled, verified.contains(account.id, hash: hash, password: password) {
      return identity(account, actsAs: actsAs)
    }
    // A disabled account's password and one that was never set are held against nobody's: the same work, and no.
    let isNobody = account?.isEnabled != true || hash.isEmpty
    let against = isNobody ? nobody : hash
    let limits = limits
    guard
      let isRight = await pool.run(
        for: PasswordPool.key(of: client), { PasswordHash.verify(password, against: against, limits: limits) })
    else { return .failure(.temporary) }
    guard isRight, !isNobody, let account else { return .failure(.badCredentials) }
    verified.insert(account.id, hash: hash, password: password)
    return identity(account, actsAs: actsAs)
  }

  /// What a log may say of a name that a client gave: an account's address, `unknown` for everything else.
  public func name(of user: String) -> String { directory.snapshot.login(user)?.address.wire ?? "unknown" }

  /// RFC 4616, 2: who may act as whom is for the server to say; nobody may but as himself.
  private func identity(_ account: DirectorySnapshot.AccountEntry, actsAs: String?) -> Result<Identity, SASLFailure> {
    guard actsAs == nil || actsAs.flatMap(directory.snapshot.login)?.id == account.id else { return .failure(.notAuthorized) }
    return .success(Identity(account: account.id, address: account.address))
  }
}

extension DirectorySnapshot {
  /// The account that logs in as `user`: its address, in any case, its domain in either form.
  func login(_ user: String) -> AccountEntry? {
    guard let address = try? AddressParser(allowsUTF8: true).mailbox(user), kind(of: address.domain) == .local else { return nil }
    return accounts[address.lookupKey]
  }
}
