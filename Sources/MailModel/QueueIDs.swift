import Outside
import Synchronization

/// Makes queue ids: each above all that it made before, whatever the clock does. One for a store, so that no id is given twice.
///
/// An id that was given twice would be a message lost: the store would take the second for a repetition of the first. So chance has
/// no part in this: random bits only keep the ids of two hosts apart.
public final class QueueIDs: Sendable {
  private let clock: any Clock
  private let random: any RandomSource
  private let last: Mutex<UInt64>

  /// - Parameter last: the highest id in use; those made here are above it.
  public init(after last: QueueID = QueueID(rawValue: 0), clock: any Clock, random: any RandomSource) {
    self.clock = clock
    self.random = random
    self.last = Mutex(last.rawValue)
  }

  /// A new id. It tells the time to the millisecond, unless more than 32,768 were made in one, or the clock went back. Any thread.
  public func next() -> QueueID {
    let now = clock.now()
    return last.withLock { last in
      let earliest = QueueID(at: now, randomness: 0).rawValue
      last = earliest > last ? earliest | random.next() & 0x7FFF : last &+ 1
      return QueueID(rawValue: last)
    }
  }
}
