import Bytes
import MailModel
import Outside
import Synchronization

/// The trace: written with what it describes, or noted; read by id, by name, or all of it.
extension SQLiteStore {
  public func makeQueueID() -> QueueID { parts.ids.next() }

  @discardableResult
  public func note(_ id: QueueID, _ events: [TraceEvent]) -> Bool {
    let wasCounting = refusals.isCounting
    let isTold = refusals.admits(events, now: clock.monotonic())
    if isTold { write(id, events) }
    if !wasCounting, refusals.isCounting { checkpointer.submit(after: .seconds(61)) { [weak self] in self?.tellOmitted() } }
    return isTold
  }

  /// The refusals of a minute that were only counted, each client's in one row.
  private func tellOmitted() {
    for omitted in refusals.ended(at: clock.monotonic()) { write(makeQueueID(), [TraceEvent(omitted, at: clock.now())]) }
    if refusals.isCounting { checkpointer.submit(after: .seconds(61)) { [weak self] in self?.tellOmitted() } }
  }

  private func write(_ id: QueueID, _ events: [TraceEvent]) {
    let isTaken = notes.withLock { notes in
      guard notes.waiting < limits.waitingNotes else {
        notes.dropped &+= 1
        return false
      }
      notes.waiting += 1
      return true
    }
    guard isTaken else { return }
    group.later { writer in
      try writer.appendTrace(id, events, isNamed: true)
      self.noteWritten()
    }
  }

  private func noteWritten() {
    let told: (handler: (@Sendable (UInt64) -> Void)?, count: UInt64) = notes.withLock { notes in
      notes.waiting -= 1
      guard notes.dropped > notes.told, notes.waiting <= limits.waitingNotes / 2 else { return (nil, 0) }
      defer { notes.told = notes.dropped }
      return (notes.handler, notes.dropped - notes.told)
    }
    told.handler?(told.count)
  }

  /// Whenever a rush of notes is over: how many of them were dropped. The handler is called on the writer, so it must only hand over.
  public func observeDroppedNotes(_ handler: @escaping @Sendable (UInt64) -> Void) { notes.withLock { $0.handler = handler } }

  public var droppedNotes: UInt64 { notes.withLock { $0.dropped } }

  // MARK: Reading

  public func trace(of id: QueueID) async throws(StoreError) -> [TraceEvent] {
    try await writeLazy()
    return try await readers.read { try TraceReading.events(of: id, in: $0) }
  }

  public func traces(
    naming text: String, since: Timestamp?, before: QueueID?, limit: Int
  ) async throws(StoreError) -> [QueueID] {
    try await writeLazy()
    let lowest = since.map { Int64(bitPattern: QueueID(at: $0, randomness: 0).rawValue) } ?? .min
    let search = TraceSearch(
      name: LookupName(text), lowest: lowest, before: before.map { Int64(bitPattern: $0.rawValue) } ?? .max,
      limit: min(max(limit, 0), limits.page), readers: readers, lookups: parts.lookups,
      tail: limits.lookupTail)
    return try await search.ids().map { QueueID(rawValue: UInt64(bitPattern: $0)) }
  }

  public func traces(since: Timestamp?, after: QueueID?, limit: Int) async throws(StoreError) -> [TracedMessage] {
    try await writeLazy()
    let start = since.map { Int64(bitPattern: QueueID(at: $0, randomness: 0).rawValue) &- 1 } ?? .min
    let from = after.map { max(Int64(bitPattern: $0.rawValue), start) } ?? start
    let wanted = min(max(limit, 1), limits.page)
    return try await readers.read { try TraceReading.page(after: from, limit: wanted, in: $0) }
  }

  public func rebuildLookups(
    progress: @escaping @Sendable (VerifyProgress) -> Void
  ) async throws(StoreError) -> Int64 {
    guard let lookups = parts.lookups else { throw .invalid("this store has no look-ups") }
    try await writeLazy()
    return try await Waiting.result { done in lookups.rebuild(report: progress, done: done) }
  }
}
