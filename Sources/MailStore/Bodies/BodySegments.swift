import NIOCore
import Outside
import Synchronization

/// Body segments: files `bodies/NNNNNNNN.seg` that only grow, in which large bodies stand.
///
/// What it promises
/// - After `sync(locations)` has returned, those bodies are on stable storage. A sync or write that failed is final for its segment: it
///   is given up, never tried again (HOSTILE 54), and the next body goes into another one.
/// - A read gives exactly the bytes that were stored or fails: each record's checksum covers segment number, position and bytes, and
///   the location (kept in the database) holds the checksum once more, so flipped bits, stale sectors, misdirected and torn
///   writes are found (HOSTILE 56, 57). All of a record is checked before one octet of it is given out.
/// - Nothing here decides what is alive. The database does: a segment is recycled only if no location that the database holds names
///   it, asked after `compactable` has offered it, which is after it stopped taking bodies and after the last body in it without a
///   pointer was accepted or let go. In this order nothing can come alive in between.
///
/// How it works: each opening begins a new segment, so no tail is searched for and nothing is scanned. The next segment is
/// prepared in the background, written with zeros or recycled under a new number, which halves a sync (MEASURED, 2); if none
/// is ready a new file grows. Numbers are never used twice, so what stands in a recycled file is told from what is new.
///
/// Threads: everything but `makeSpool` may block and is called on a worker. Limits: `SegmentLimits`. Failures: `StoreError.full` when
/// the disk is, else `unavailable`; `SegmentReadError` for reads.
package final class BodySegments: BodyStorage {
  let disk: any Disk
  let limits: SegmentLimits
  /// Writes what spools hand over, and prepares segments.
  let worker: any SerialWorker
  /// Octets that spools hold in memory now.
  let spooled = Atomic<Int>(0)
  let state: Mutex<State>

  static let folder = "bodies"

  struct State {
    var current: Segment?
    /// Ready, with durable names, never used.
    var spares: [Segment] = []
    /// By number: the current one and those before it that may still be pinned or unsynced.
    var active: [UInt32: Segment] = [:]
    /// Every segment that may hold live bodies, the current one too.
    var known: Set<UInt32> = []
    /// Files without live bodies: to become spares or to go.
    var leftovers: [UInt32] = []
    /// What is alive could not be read: nothing is recycled.
    var isUnknown = false
    /// Octets of leftovers that were there at the start.
    var freedAtStart: UInt64 = 0
    /// What `compactable` has offered: only these may be recycled.
    var offered: Set<UInt32> = []
    /// Bodies handed out without a pointer, beside those whose `SpooledBody` is still held.
    var pending: [SegmentLocation: SegmentPin] = [:]
    var nextNumber: UInt32 = 1
    var isPreparing = false
    /// The segment beside which a spare could not be made, for want of room.
    var refused: UInt32?
    /// Before `start` and after `close`.
    var isClosed = true
    /// Files open for reading, the most recently used last.
    var readers: [(number: UInt32, file: any DiskFile)] = []
  }

  /// Nothing is touched before `start`.
  package init(disk: any Disk, workers: any WorkerProvider, limits: SegmentLimits = .init()) {
    self.disk = disk
    self.limits = limits
    self.worker = workers.makeSerialWorker(named: "bodies")
    self.state = Mutex(State())
  }

  /// Opens `bodies/` (made if it is missing) with what the database points to. Reads the folder's names, no segment; of the newest
  /// live one it gives back the unused zeros, since nothing is appended to a segment of an earlier opening.
  /// Without knowledge of what is alive (nil) every segment is kept as it is.
  package func start(_ live: [SegmentUse]?) throws(StoreError) {
    var found = State()
    found.isUnknown = live == nil
    let live = live ?? []
    let named = Set(live.map(\.segment))
    // A number beyond all reason stands in a damaged row.
    var greatest = named.filter { $0 <= Self.greatestBelieved }.max() ?? 0
    do {
      try disk.makeFolder(Self.folder)
      // The folder's own name must outlive a power cut as well.
      try disk.syncFolder("")
      for name in try disk.list(Self.folder) {
        guard let number = Self.number(ofFile: name) else { continue }
        greatest = max(greatest, number)
        if found.isUnknown || named.contains(number) {
          found.known.insert(number)
        } else {
          found.leftovers.append(number)
        }
      }
      for number in found.leftovers.dropFirst(limits.spareSegments) {
        found.freedAtStart = found.freedAtStart &+ (try size(of: number) ?? 0)
      }
      if let newest = live.max(by: { $0.segment < $1.segment }), found.known.contains(newest.segment), newest.end > 0 {
        let file = try disk.open(Self.path(of: newest.segment), create: false, exclusive: false)
        if try file.size() > newest.end { try file.truncate(to: newest.end) }
        file.close()
      }
    } catch {
      throw (error as? StoreError) ?? (error as? DiskError).map(StoreError.init) ?? .unavailable("\(error)")
    }
    guard greatest < UInt32.max else { throw .unavailable("segment numbers are used up") }
    found.nextNumber = greatest + 1
    found.isClosed = false
    let hasLeftovers = !found.leftovers.isEmpty
    state.withLock { $0 = found }
    if hasLeftovers { worker.submit { self.removeLeftovers(keeping: self.limits.spareSegments) } }
  }

  /// Segment numbers above this are not taken from the database: 2 to the 30th.
  private static let greatestBelieved: UInt32 = 1 << 30

  /// Starts taking in a body. Call it on any thread.
  package func makeSpool() -> any BodySpool { SegmentSpool(segments: self) }

  /// Writes a body that is in memory, its parts one after another. Durable once `sync` of its location has returned.
  package func append(_ parts: [ByteBuffer]) throws(StoreError) -> SegmentLocation {
    let body = ByteBuffer.joined(parts)
    let records = body.readableBytes / max(limits.recordSize, 1) &+ 1
    let pin = try begin(atLeast: body.readableBytes &+ records &* SegmentRecord.headerSize)
    var extents: [SegmentLocation.Extent] = []
    try append(body, to: &extents, in: pin.segment)
    return handOut(extents, pin)
  }

  /// Makes the bodies at `locations` durable: one sync for each of their segments that has unsynced records. They must be pending.
  package func sync(_ locations: [SegmentLocation]) throws(StoreError) {
    for number in Set(locations.map(\.segment)).sorted() {
      guard let segment = state.withLock({ $0.active[number] }) else {
        throw .unavailable("body segment \(number) is not open for writing")
      }
      try segment.sync()
    }
  }

  package func accepted(_ locations: [SegmentLocation]) { forget(locations) }

  package func abandoned(_ locations: [SegmentLocation]) { forget(locations) }

  private func forget(_ locations: [SegmentLocation]) {
    state.withLock { state in
      for location in locations { state.pending[location] = nil }
    }
  }

  private func handOut(_ extents: [SegmentLocation.Extent], _ pin: SegmentPin) -> SegmentLocation {
    let location = SegmentLocation(segment: pin.segment.number, extents: extents)
    state.withLock { $0.pending[location] = pin }
    return location
  }

  /// Copies a body into the current segment, checking it on the way. For compaction: sync the result, then change the pointer.
  package func copy(_ location: SegmentLocation) throws(StoreError) -> SegmentLocation {
    let pin = try begin(atLeast: Int(location.extents.first?.length ?? 0))
    var extents: [SegmentLocation.Extent] = []
    for index in location.extents.indices {
      let piece: ByteBuffer
      do {
        piece = try readRecord(index, of: location)
      } catch {
        throw error.storeError
      }
      try append(piece, to: &extents, in: pin.segment)
    }
    return handOut(extents, pin)
  }

  /// Ends. Later calls fail; bodies that are still streaming are lost. The unused rest of the current segment is given back.
  package func close() {
    if let current = state.withLock({ $0.current }), !current.isFailed, current.pins.load(ordering: .acquiring) == 0 {
      try? current.file.truncate(to: current.tail)
    }
    let (open, readers) = state.withLock { state in
      state.isClosed = true
      defer {
        state.active = [:]
        state.spares = []
        state.current = nil
        state.pending = [:]
        state.readers = []
      }
      return (Array(state.active.values) + state.spares, state.readers)
    }
    for segment in open { segment.file.close() }
    for reader in readers { reader.file.close() }
  }

  // MARK: Taking room

  /// The segment for a new body of which at least `count` octets are known, pinned.
  func begin(atLeast count: Int) throws(StoreError) -> SegmentPin {
    let wanted = min(UInt64(max(count, 0)) &+ UInt64(SegmentRecord.headerSize), limits.segmentSize)
    return try state.withLock { state throws(StoreError) in
      guard !state.isClosed else { throw .closed }
      if let current = state.current, !current.isFailed {
        let tail = current.tail
        if tail == 0 || tail &+ wanted <= limits.segmentSize {
          if tail > limits.segmentSize / 2 { startPreparing(&state) }
          return SegmentPin(current)
        }
      }
      let next = try nextSegment(&state)
      state.current = next
      state.active[next.number] = next
      state.known.insert(next.number)
      return SegmentPin(next)
    }
  }

  /// Appends all of `bytes` in records of at most `recordSize` (an empty body is one empty record).
  func append(_ bytes: ByteBuffer, to extents: inout [SegmentLocation.Extent], in segment: Segment) throws(StoreError) {
    var rest = bytes
    repeat {
      let piece = rest.readSlice(length: min(rest.readableBytes, limits.recordSize)) ?? ByteBuffer()
      let first = extents.first?.offset
      let index = UInt32(clamping: extents.count)
      // A closure of `withUnsafeReadableBytes` can't throw typed errors.
      let result = piece.withUnsafeReadableBytes { raw -> Result<SegmentLocation.Extent, StoreError> in
        Result { () throws(StoreError) in try segment.append(raw, first: first, index: index) }
      }
      extents.append(try result.get())
    } while rest.readableBytes > 0
  }

  /// The spare if one is ready, else a new file that grows.
  private func nextSegment(_ state: inout State) throws(StoreError) -> Segment {
    if !state.spares.isEmpty { return state.spares.removeFirst() }
    let number = try state.takeNumber()
    do {
      let file = try disk.open(Self.path(of: number), create: true, exclusive: true)
      try disk.syncFolder(Self.folder)
      return Segment(number: number, file: file)
    } catch {
      throw StoreError(error)
    }
  }

  // MARK: Names

  static func path(of number: UInt32) -> String {
    let digits = String(number)
    return "\(folder)/\(String(repeating: "0", count: max(0, 8 - digits.utf8.count)))\(digits).seg"
  }

  /// The number of `NNNNNNNN.seg`; nil for other names.
  static func number(ofFile name: String) -> UInt32? {
    guard name.hasSuffix(".seg"), let number = UInt32(name.dropLast(4)), number > 0, path(of: number) == "\(folder)/\(name)" else {
      return nil
    }
    return number
  }
}

extension BodySegments.State {
  /// A number that no segment had before.
  mutating func takeNumber() throws(StoreError) -> UInt32 {
    guard nextNumber < UInt32.max else { throw .unavailable("segment numbers are used up") }
    defer { nextNumber += 1 }
    return nextNumber
  }
}

extension ByteBuffer {
  /// The readable bytes of `parts` one after another; of a single part without a copy.
  static func joined(_ parts: [ByteBuffer]) -> ByteBuffer {
    if parts.count == 1, let only = parts.first { return only }
    var whole = ByteBuffer()
    whole.reserveCapacity(parts.reduce(0) { $0 &+ $1.readableBytes })
    for part in parts { whole.writeImmutableBuffer(part) }
    return whole
  }
}

extension SpooledBody {
  init(segment location: SegmentLocation, pin: SegmentPin) {
    self.init(place: .segment(location), size: location.length)
    self.pin = pin
  }
}
