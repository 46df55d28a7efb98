/// What delivery holds in memory.
extension Scheduler {
  public struct Holding: Hashable, Sendable {
    /// Recipients that are leased and not recorded yet.
    public var recipients: Int
    /// Groups of recipients on their way, at most `DeliveryLimits.jobs` and one claim more.
    public var jobs: Int
    /// Octets of messages that are kept for it, at most `DeliveryLimits.bodyMemory`.
    public var octets: Int
    /// Connections, at most `DeliveryLimits.connections`.
    public var connections: Int
    /// Hosts, or groups of them, that are remembered, at most `DeliveryLimits.destinations`.
    public var pools: Int
  }

  /// What it holds now. On delivery's loop only.
  public var holding: Holding {
    confine()
    return Holding(recipients: inHand.count, jobs: jobs, octets: bodyOctets, connections: connections.all, pools: pools.count)
  }
}
