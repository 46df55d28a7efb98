import Bytes
import Synchronization

/// Octets of live bodies in each segment, counted along with the transactions that change them.
///
/// They say which segments are worth a look, so that nobody has to read every message's row for it. Whether a segment is dead is asked
/// of the database, never of these.
final class SegmentTotals: Sendable {
  private struct State {
    var live: [UInt32: Total] = [:]
    /// Of the transaction under way.
    var changes: [(segment: UInt32, octets: Int64)] = []
    /// Segments that lost bodies and are dead or half dead, and have not been looked at since.
    var ripe: Set<UInt32> = []
  }

  private struct Total {
    var octets: Int64 = 0
    /// The most there has been in it.
    var most: Int64 = 0
  }

  private let state: Mutex<State>
  /// What is in the segments could not be read: nothing may be taken back.
  let isUnknown: Bool

  /// - Parameter uses: what the database points to; nil if that can't be read.
  init(_ uses: [SegmentUse]?) {
    isUnknown = uses == nil
    var state = State()
    for use in uses ?? [] {
      let octets = Int64(clamping: use.octets)
      state.live[use.segment] = Total(octets: octets, most: max(octets, Int64(clamping: use.end)))
      if octets <= Int64(clamping: use.end / 2) { state.ripe.insert(use.segment) }
    }
    self.state = Mutex(state)
  }

  /// A body came into the segment (or left it). Inside a transaction.
  func change(_ segment: UInt32, _ octets: Int64) { state.withLock { $0.changes.append((segment, octets)) } }

  func rollback() { state.withLock { $0.changes.removeAll(keepingCapacity: true) } }

  func commit() {
    state.withLock { state in
      for (segment, octets) in state.changes {
        var total = state.live[segment] ?? Total()
        total.octets = max(total.octets.addedClamped(octets), 0)
        total.most = max(total.most, total.octets)
        state.live[segment] = total
        if octets < 0, total.octets <= total.most / 2 { state.ripe.insert(segment) }
      }
      state.changes.removeAll(keepingCapacity: true)
    }
  }

  /// Whether some segment is worth a look.
  var isRipe: Bool { state.withLock { !$0.ripe.isEmpty } }

  var ripe: Set<UInt32> { state.withLock { $0.ripe } }

  /// These are being seen to: they are ripe again when they lose more.
  func looked(at segments: [UInt32]) { state.withLock { $0.ripe.subtract(segments) } }

  /// They are to be looked at again.
  func ripen(_ segments: [UInt32]) { state.withLock { $0.ripe.formUnion(segments) } }

  func octets(in segment: UInt32) -> Int64 { state.withLock { $0.live[segment]?.octets ?? 0 } }

  /// They are gone.
  func forget(_ segments: [UInt32]) {
    state.withLock { state in
      for segment in segments {
        state.live[segment] = nil
        state.ripe.remove(segment)
      }
    }
  }

  /// As `compactable` wants it.
  var uses: [SegmentUse] {
    state.withLock { state in
      state.live.filter { $0.value.octets > 0 }.sorted { $0.key < $1.key }
        .map { SegmentUse(segment: $0.key, octets: UInt64(clamping: $0.value.octets), end: 0) }
    }
  }
}
