import Bytes
import Outside

/// Preparing segments beforehand, and using dead ones again.
extension BodySegments {
  /// Segments that take no body any more, have none without a pointer, and are at least half dead by `live`; the most dead first,
  /// those that `live` does not name before all. **After** this, ask the database once more what is in each: what it names then is to be
  /// copied, and what it does not name (before or after that) may be given to `recycle`.
  package func compactable(_ live: [SegmentUse], among: Set<UInt32>? = nil) throws(StoreError) -> [UInt32] {
    let sealed = state.withLock { state -> [UInt32] in
      guard !state.isUnknown else { return [] }
      for (number, segment) in state.active where segment !== state.current && segment.pins.load(ordering: .acquiring) == 0 {
        state.active[number] = nil
      }
      return (among.map { state.known.intersection($0) } ?? state.known).filter { state.active[$0] == nil }.sorted()
    }
    let octets = Dictionary(live.map { ($0.segment, $0.octets) }, uniquingKeysWith: &+)
    var found: [(number: UInt32, dead: UInt64)] = []
    for number in sealed {
      let used = octets[number] ?? 0
      // A size is asked only where it can matter.
      guard used < limits.segmentSize, let size = try size(of: number), size > 0, size &- min(used, size) >= size / 2 else {
        continue
      }
      found.append((number, used == 0 ? .max : size &- min(used, size)))
    }
    found.sort { ($1.dead, $0.number) < ($0.dead, $1.number) }
    let offered = found.map(\.number)
    state.withLock { $0.offered.formUnion(offered) }
    return offered
  }

  /// Frees segments that were offered and that the database names no more, in the background: they become spares under new numbers,
  /// or go. Octets that become free. A reader that still holds a location in one of them is told of damage: it looks the location up again.
  package func recycle(_ segments: [UInt32]) throws(StoreError) -> Int64 {
    var freed = state.withLock { state in
      defer { state.freedAtStart = 0 }
      return state.freedAtStart
    }
    for number in segments {
      let isOffered = state.withLock { !$0.isClosed && $0.offered.remove(number) != nil && $0.known.contains(number) }
      guard isOffered else { continue }
      freed = freed &+ (try size(of: number) ?? 0)
      state.withLock { state in
        state.known.remove(number)
        state.leftovers.append(number)
        state.readers.removeAll { $0.number == number }
      }
    }
    worker.submit { self.removeLeftovers(keeping: self.limits.spareSegments) }
    return Int64(clamping: freed)
  }

  /// Octets of a segment's file; nil if there is none.
  func size(of number: UInt32) throws(StoreError) -> UInt64? {
    do {
      let file = try disk.open(Self.path(of: number), create: false, exclusive: false)
      defer { file.close() }
      return try file.size()
    } catch {
      if error.kind == .notFound { return nil }
      throw StoreError(error)
    }
  }

  /// Called under the lock: prepares the next segment in the background if none is ready.
  func startPreparing(_ state: inout State) {
    guard !state.isPreparing, state.spares.count < limits.spareSegments,
      state.refused == nil || state.refused != state.current?.number
    else { return }
    state.isPreparing = true
    worker.submit { self.prepare() }
  }

  private func prepare() {
    if adoptLeftover() || state.withLock({ $0.isClosed }) {
      state.withLock { $0.isPreparing = false }
      return
    }
    // A preparation that fails harms nobody: the next segment then grows, and says itself whether the disk is full.
    guard hasRoomForSpare, let number = state.withLock({ try? $0.takeNumber() }) else {
      return state.withLock { $0.isPreparing = false }
    }
    do {
      zero(Segment(number: number, file: try disk.open(Self.path(of: number), create: true, exclusive: true)), from: 0)
    } catch {
      refuse(error)
    }
  }

  /// What is free belongs to mail and to the reserve first.
  private var hasRoomForSpare: Bool {
    guard let free = try? disk.freeBytes() else { return false }
    return free >= limits.segmentSize.addedClamped(limits.spareMargin)
  }

  /// Writes zeros a step at a time, so that spools get their turn in between.
  private func zero(_ segment: Segment, from offset: UInt64) {
    guard offset < limits.segmentSize, !state.withLock({ $0.isClosed }) else { return finish(segment) }
    let count = min(Self.zeroStep, limits.segmentSize - offset)
    do {
      try segment.file.write([UInt8](repeating: 0, count: Int(clamping: count)), at: offset)
      // Synced as it goes, or the last sync would hold up everybody else's.
      if (offset &+ count) % Self.zeroSyncStep == 0 { try segment.file.sync() }
    } catch { return abandon(segment, error) }
    worker.submit { self.zero(segment, from: offset &+ count) }
  }

  private func finish(_ segment: Segment) {
    do {
      try segment.file.sync()
      try disk.syncFolder(Self.folder)
    } catch { return abandon(segment, error) }
    addSpare(segment)
  }

  private func addSpare(_ segment: Segment) {
    let isKept = state.withLock { state in
      state.isPreparing = false
      guard !state.isClosed else { return false }
      state.spares.append(segment)
      return true
    }
    if !isKept { segment.file.close() }
  }

  private func abandon(_ segment: Segment, _ error: DiskError) {
    segment.file.close()
    try? disk.remove(Self.path(of: segment.number))
    refuse(error)
  }

  /// A quota does not show in what is free: whoever is at it would write and remove a spare for each body. Tried again beside the next
  /// segment.
  private func refuse(_ error: DiskError) {
    state.withLock { state in
      state.isPreparing = false
      if error.kind == .full { state.refused = state.current?.number }
    }
  }

  /// Makes a dead segment of full size the spare, under a new number; its name is durable before it is used. The others go.
  private func adoptLeftover() -> Bool {
    for number in state.withLock({ $0.leftovers.sorted() }) {
      let isTaken = state.withLock { state in
        guard let index = state.leftovers.firstIndex(of: number) else { return false }
        state.leftovers.remove(at: index)
        return true
      }
      guard isTaken, let segment = try? adopt(number) else { continue }
      addSpare(segment)
      return true
    }
    return false
  }

  private func adopt(_ number: UInt32) throws -> Segment? {
    let old = Self.path(of: number)
    let file = try disk.open(old, create: false, exclusive: false)
    let size = try file.size()
    guard size >= limits.segmentSize else {
      file.close()
      try disk.remove(old)
      return nil
    }
    if size > limits.segmentSize { try file.truncate(to: limits.segmentSize) }
    let renamed = try state.withLock { state throws(StoreError) in try state.takeNumber() }
    try disk.rename(old, to: Self.path(of: renamed))
    try file.sync()
    try disk.syncFolder(Self.folder)
    return Segment(number: renamed, file: file)
  }

  func removeLeftovers(keeping count: Int) {
    let surplus = state.withLock { state -> [UInt32] in
      guard !state.isClosed else { return [] }
      let kept = max(0, count - state.spares.count)
      let surplus = Array(state.leftovers.dropFirst(kept))
      state.leftovers.removeLast(surplus.count)
      return surplus
    }
    for number in surplus { try? disk.remove(Self.path(of: number)) }
    if !surplus.isEmpty { try? disk.syncFolder(Self.folder) }
  }

  /// Octets of zeros in one job of the worker: 1 MiB.
  private static let zeroStep: UInt64 = 1_048_576

  /// Octets of zeros between syncs: 8 MiB.
  private static let zeroSyncStep: UInt64 = 8_388_608
}
