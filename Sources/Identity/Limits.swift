/// How far aliases are followed.
public struct DirectoryLimits: Hashable, Sendable {
  /// Aliases that lead to one another in a row: `550 5.4.6` beyond. Default 10.
  public var aliasDepth: Int
  /// Recipients that one address may expand to, those that can't take mail now too: `550 5.4.6` beyond. Default 1,000; `alias add` makes
  /// no longer list. Ten times as many targets are looked at, so that lists which overlap still resolve.
  public var aliasTargets: Int

  public init(aliasDepth: Int = 10, aliasTargets: Int = 1_000) {
    self.aliasDepth = aliasDepth
    self.aliasTargets = aliasTargets
  }
}

/// What a password costs to check (RFC 9106, 4: the second recommendation scaled to one lane; 19 MiB and two passes).
public struct PasswordLimits: Hashable, Sendable {
  /// Memory of one hash in KiB. Default 19,456.
  public var memory: UInt32
  /// Passes over it. Default 2.
  public var passes: UInt32
  /// Octets of a password: longer ones are refused. Default 1,024.
  public var passwordLength: Int

  /// Checks that wait for a worker in all: `454 4.7.0` beyond. Default 1,000.
  public var waiting: Int
  /// Checks of one network (IPv4 /24, IPv6 /48) that wait. Default 20.
  public var waitingOfNetwork: Int
  /// How long a right password is remembered. Default 10 minutes.
  public var rememberedFor: Duration
  /// Right passwords that are remembered, about 200 octets each. Default 10,000.
  public var remembered: Int

  public init(
    memory: UInt32 = 19_456, passes: UInt32 = 2, passwordLength: Int = 1_024, waiting: Int = 1_000, waitingOfNetwork: Int = 20,
    rememberedFor: Duration = .seconds(600), remembered: Int = 10_000
  ) {
    self.memory = memory
    self.passes = passes
    self.passwordLength = passwordLength
    self.waiting = waiting
    self.waitingOfNetwork = waitingOfNetwork
    self.rememberedFor = rememberedFor
    self.remembered = remembered
  }
}
