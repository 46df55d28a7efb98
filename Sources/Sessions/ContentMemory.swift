import Synchronization

/// What all sessions together hold of the headers and structures of messages that are coming in.
///
/// Each message has its own bounds (`MessageLimits`), but ten thousand of the largest would be 20 GB. Over the budget a message that
/// needs more is put off (`452 4.3.1`); small ones, which are nearly all, are never counted and never refused.
public final class ContentMemory: Sendable {
  /// What a message may hold without being counted: 8 KiB.
  static let uncounted = 8_192

  private let limit: Int
  private let used = Atomic<Int>(0)

  /// - Parameter limit: octets of all messages together.
  public init(limit: Int = SessionLimits().contentMemory) { self.limit = limit }

  /// Octets in use.
  public var octets: Int { used.load(ordering: .relaxed) }

  /// Takes `count` octets; false, and none are taken, if that is over the budget.
  func take(_ count: Int) -> Bool {
    guard used.add(count, ordering: .relaxed).newValue > limit else { return true }
    give(count)
    return false
  }

  func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }
}

/// One message's share of it; given back when the message is over.
struct ContentShare: ~Copyable {
  private let memory: ContentMemory
  private var taken = 0

  init(of memory: ContentMemory) { self.memory = memory }

  deinit { if taken > 0 { memory.give(taken) } }

  /// The message now holds `octets`. False: there is no room for them.
  mutating func hold(_ octets: Int) -> Bool {
    guard octets > max(taken, ContentMemory.uncounted) else { return true }
    // In steps, so that a long header does not come here for each of its lines.
    let wanted = octets / ContentMemory.uncounted * ContentMemory.uncounted + ContentMemory.uncounted
    guard wanted > taken else { return true }
    guard memory.take(wanted - taken) else { return false }
    taken = wanted
    return true
  }
}
