import Outside

/// Preparing segments beforehand, and using dead ones again.
extension BodySegments {
  /// Segments that take no body any more and hold none without a pointer. **Then** ask the database which of them it does not name,
  /// and give those to `recycle`. In this order nothing can come alive in between.
  package func recyclable() -> [UInt32] {
    state.withLock { state in
      for (number, segment) in state.active where segment !== state.current && segment.pins.load(ordering: .acquiring) == 0 {
        state.active[number] = nil
      }
      return state.known.filter { state.active[$0] == nil }.sorted()
    }
  }

  /// Frees segments without live bodies, in the background: they become spares under new numbers, or go. Octets that become free.
  package func recycle(_ numbers: [UInt32]) -> Int64 {
    var freed: Int64 = 0
    for number in numbers {
      let file = state.withLock { state -> (any DiskFile)? in
        guard state.active[number] == nil, state.known.remove(number) != nil else { return nil }
        state.leftovers.append(number)
        guard let index = state.readers.firstIndex(where: { $0.number == number }) else { return nil }
        return state.readers.remove(at: index).file
      }
      let size = try? (file ?? disk.open(Self.path(of: number), create: false, exclusive: false)).size()
      freed &+= Int64(clamping: size ?? 0)
    }
    worker.submit { self.removeLeftovers(keeping: self.limits.spareSegments) }
    return freed
  }

  /// Called under the lock: prepares the next segment in the background if none is ready.
  func startPreparing(_ state: inout State) {
    guard !state.isPreparing, state.spares.count < limits.spareSegments else { return }
    state.isPreparing = true
    worker.submit { self.prepare() }
  }

  private func prepare() {
    if adoptLeftover() || state.withLock({ $0.isClosed }) {
      state.withLock { $0.isPreparing = false }
      return
    }
    // A preparation that fails harms nobody: the next segment then grows, and says itself whether the disk is full.
    guard let number = state.withLock({ try? $0.takeNumber() }),
      let file = try? disk.open(Self.path(of: number), create: true, exclusive: true)
    else { return state.withLock { $0.isPreparing = false } }
    zero(Segment(number: number, file: file), from: 0)
  }

  /// Writes zeros a step at a time, so that spools get their turn in between.
  private func zero(_ segment: Segment, from offset: UInt64) {
    guard offset < limits.segmentSize, !state.withLock({ $0.isClosed }) else { return finish(segment) }
    let count = min(Self.zeroStep, limits.segmentSize - offset)
    do {
      try segment.file.write([UInt8](repeating: 0, count: Int(clamping: count)), at: offset)
      // Synced as it goes, or the last sync would hold up everybody else's.
      if (offset &+ count) % Self.zeroSyncStep == 0 { try segment.file.sync() }
    } catch { return abandon(segment) }
    worker.submit { self.zero(segment, from: offset &+ count) }
  }

  private func finish(_ segment: Segment) {
    do {
      try segment.file.sync()
      try disk.syncFolder(Self.folder)
    } catch { return abandon(segment) }
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

  private func abandon(_ segment: Segment) {
    segment.file.close()
    try? disk.remove(Self.path(of: segment.number))
    state.withLock { $0.isPreparing = false }
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

  private func removeLeftovers(keeping count: Int) {
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
