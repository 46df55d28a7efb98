import Outside

/// How a host that is not Martlet treats its clients: each oddity strikes once in so many times (0: never).
public struct HostManners: Hashable, Sendable {
  /// `4xx` to RCPT or after the message.
  var transient: UInt64 = 0
  /// `5xx` to RCPT or after the message.
  var permanent: UInt64 = 0
  /// `421` at any command, and closed.
  var shutdown: UInt64 = 0
  /// Closed without a word.
  var drops: UInt64 = 0
  /// A reply that takes minutes.
  var slow: UInt64 = 0
  /// `250`, and the message is thrown away.
  var lies: UInt64 = 0
  /// What comes is no reply.
  var garbles: UInt64 = 0
  /// The message is kept, and the connection closed before its `250` is said.
  var forgets: UInt64 = 0

  static let good = HostManners()

  static let bad: [HostManners] = [
    HostManners(transient: 1), HostManners(transient: 2), HostManners(permanent: 2), HostManners(shutdown: 4),
    HostManners(drops: 5),
    HostManners(slow: 3), HostManners(lies: 2), HostManners(garbles: 6), HostManners(forgets: 2),
    HostManners(transient: 4, permanent: 8, shutdown: 12, drops: 12, slow: 9, lies: 8, garbles: 15, forgets: 5),
  ]
}
