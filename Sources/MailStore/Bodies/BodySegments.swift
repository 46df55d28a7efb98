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
///   it, asked after the segment stopped taking bodies and after the last body in it that has no pointer yet was let go (`SegmentPin`).
///
/// How it works: each opening begins a new segment, so no tail is searched for and nothing is scanned. The next segment is
/// prepared in the background, written with zeros or recycled under a new number, which halves a sync (MEASURED, 2); if none
/// is ready a new file grows. Numbers are never used twice, so what stands in a recycled file is told from what is new.
///
/// Threads: everything but `makeSpool` may block and is called on a worker. Limits: `SegmentLimits`. Failures: `StoreError.full` when
/// the disk is, else `unavailable`; `SegmentReadError` for reads.
package final class BodySegments: Sendable {
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
    var nextNumber: UInt32
    var isPreparing = false
    var isClosed = false
    /// Files open for reading, the most recently used last.
    var readers: [(number: UInt32, file: any DiskFile)] = []
  }

  /// What the database says about segments when it is opened.
  package struct References {
    /// The greatest segment number that any location names; 0 if there is none.
    package var greatest: UInt32
    /// Whether any location names this segment.
    package var isLive: (UInt32) throws(StoreError) -> Bool
    /// The greatest `SegmentLocation.end` among the locations that name this segment. Asked of the newest live one only.
    package var end: (UInt32) throws(StoreError) -> UInt64

    package init(
      greatest: UInt32, isLive: @escaping (UInt32) throws(StoreError) -> Bool, end: @escaping (UInt32) throws(StoreError) -> UInt64
    ) {
      self.greatest = greatest
      self.isLive = isLive
      self.end = end
    }
  }

  /// Opens the segments in `bodies/` (made if it is missing). Reads the folder, no segment.
  package init(disk: any Disk, workers: any WorkerProvider, limits: SegmentLimits = .init(), references: References)
    throws(StoreError)
  {
    self.disk = disk
    self.limits = limits
    self.worker = workers.makeSerialWorker(named: "bodies")
    var found = State(nextNumber: 0)
    do {
      try disk.makeFolder(Self.folder)
      found.nextNumber = references.greatest
      for name in try disk.list(Self.folder) {
        guard let number = Self.number(ofFile: name) else { continue }
        found.nextNumber = max(found.nextNumber, number)
        if try references.isLive(number) { found.known.insert(number) } else { found.leftovers.append(number) }
      }
      if let newest = found.known.max() { try Self.trim(newest, to: references.end(newest), on: disk) }
    } catch let error as DiskError {
      throw StoreError(error)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .unavailable("\(error)")
    }
    guard found.nextNumber < UInt32.max else { throw .unavailable("segment numbers are used up") }
    found.nextNumber += 1
    self.state = Mutex(found)
  }

  /// Gives back the zeros behind the last body of a segment that was in use when the process ended without `close`.
  private static func trim(_ number: UInt32, to end: UInt64, on disk: any Disk) throws(DiskError) {
    let file = try disk.open(path(of: number), create: false, exclusive: false)
    if end > 0, try file.size() > end { try file.truncate(to: end) }
    file.close()
  }

  /// Starts taking in a body. Call it on any thread.
  package func makeSpool() -> any BodySpool { SegmentSpool(segments: self) }

  /// Writes a body that is in memory. Durable once `sync` of its location has returned.
  package func append(_ bytes: ByteBuffer) throws(StoreError) -> SpooledBody {
    let pin = try begin(atLeast: min(bytes.readableBytes, limits.recordSize))
    var extents: [SegmentLocation.Extent] = []
    try append(bytes, to: &extents, in: pin.segment)
    return SpooledBody(segment: SegmentLocation(segment: pin.segment.number, extents: extents), pin: pin)
  }

  /// Makes the bodies at `locations` durable: one sync for each of their segments that has unsynced records. They must be pinned.
  package func sync(_ locations: some Sequence<SegmentLocation>) throws(StoreError) {
    for number in Set(locations.map(\.segment)).sorted() {
      guard let segment = state.withLock({ $0.active[number] }) else {
        throw .unavailable("body segment \(number) is not open for writing")
      }
      try segment.sync()
    }
  }

  /// Copies a body into the current segment, checking it on the way. For compaction: sync the result, then change the pointer.
  package func copy(_ location: SegmentLocation) throws(SegmentReadError) -> SpooledBody {
    do {
      let pin = try begin(atLeast: Int(location.extents.first?.length ?? 0))
      var extents: [SegmentLocation.Extent] = []
      for index in location.extents.indices {
        try append(try readRecord(index, of: location), to: &extents, in: pin.segment)
      }
      return SpooledBody(segment: SegmentLocation(segment: pin.segment.number, extents: extents), pin: pin)
    } catch let error as StoreError {
      throw .store(error)
    } catch let error as SegmentReadError {
      throw error
    } catch {
      throw .store(.unavailable("\(error)"))
    }
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
    let wanted = UInt64(max(count, 0)) &+ UInt64(SegmentRecord.headerSize)
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

extension SpooledBody {
  init(segment location: SegmentLocation, pin: SegmentPin) {
    self.init(place: .segment(location), size: location.length)
    self.pin = pin
  }
}
