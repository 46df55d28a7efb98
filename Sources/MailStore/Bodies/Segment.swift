import Outside
import Synchronization

/// One segment file that takes, or took since the start, bodies. Its number is in its name and in each record.
///
/// Room is given out under a lock, writing happens outside of it, so several threads may append at once. A failed write (other than
/// a full disk) or sync ends the segment: nothing is appended any more, and no later sync makes good what was not synced before.
final class Segment: Sendable {
  let number: UInt32
  let file: any DiskFile
  /// Bodies that are not yet pointed to or still being written. While there are any, the segment is not recycled.
  let pins = Atomic<Int>(0)
  private let room: Mutex<Room>
  private let durability = Mutex(Durability())
  /// Records written so far.
  private let written = Atomic<UInt64>(0)
  private let failed = Atomic<Bool>(false)

  private struct Room {
    var tail: UInt64
  }

  private struct Durability {
    /// How many records had been written before the last good sync began.
    var synced: UInt64 = 0
  }

  init(number: UInt32, file: any DiskFile) {
    self.number = number
    self.file = file
    self.room = Mutex(Room(tail: 0))
  }

  /// Whether a write or sync failed: it takes nothing any more.
  var isFailed: Bool { failed.load(ordering: .acquiring) }

  /// Where the next record would begin.
  var tail: UInt64 { room.withLock { $0.tail } }

  /// Writes one piece of a body as a record, at the tail. Not durable before `sync`.
  ///
  /// - Parameters:
  ///   - first: where the body's first record begins; nil if this is the first.
  ///   - index: how many records of the body came before.
  func append(_ piece: UnsafeRawBufferPointer, first: UInt64?, index: UInt32) throws(StoreError) -> SegmentLocation.Extent {
    guard !isFailed else { throw .unavailable("body segment \(number) was given up") }
    guard let length = UInt32(exactly: piece.count) else { throw .invalid("a piece of a body is too long") }
    let footprint = UInt64(SegmentRecord.headerSize) &+ UInt64(length)
    let position = room.withLock { room in
      defer { room.tail &+= footprint }
      return room.tail
    }
    let checksum = CRC32C.of(piece)
    let record = SegmentRecord(
      segment: number, position: position, first: first ?? position, index: index, length: length, checksum: checksum)
    do {
      try file.write(record.encoded(with: piece), at: position)
    } catch {
      giveBack(position, footprint)
      if error.kind != .full { failed.store(true, ordering: .releasing) }
      throw StoreError(error)
    }
    written.add(1, ordering: .acquiringAndReleasing)
    return SegmentLocation.Extent(offset: position, length: length, checksum: checksum)
  }

  /// Makes every record whose `append` has returned durable. One at a time: the kernel reports a lost page to one caller only, and
  /// the others must not take its silence for success.
  func sync() throws(StoreError) {
    try durability.withLock { state throws(StoreError) in
      guard !isFailed else { throw .unavailable("body segment \(number) was given up") }
      let covered = written.load(ordering: .acquiring)
      guard covered > state.synced else { return }
      do throws(DiskError) {
        try file.sync()
      } catch {
        failed.store(true, ordering: .releasing)
        throw StoreError(error)
      }
      state.synced = covered
    }
  }

  private func giveBack(_ position: UInt64, _ footprint: UInt64) {
    room.withLock { room in
      if room.tail == position &+ footprint { room.tail = position }
    }
  }
}

/// Keeps a segment from being recycled while a body in it has no pointer yet. Ends by itself with the last reference.
package final class SegmentPin: Sendable {
  let segment: Segment

  init(_ segment: Segment) {
    self.segment = segment
    segment.pins.add(1, ordering: .acquiringAndReleasing)
  }

  deinit { segment.pins.subtract(1, ordering: .acquiringAndReleasing) }
}

extension StoreError {
  /// A full disk is told apart; everything else means that nothing can be promised.
  init(_ error: DiskError) {
    self = error.kind == .full ? .full : .unavailable(error.description)
  }
}
