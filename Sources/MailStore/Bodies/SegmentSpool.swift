import NIOCore
import Outside
import Synchronization

/// A body that is coming in: in memory while it is small, then into a segment as it arrives.
///
/// The session's side only gathers bytes and hands them over; all file work is done by the segments' worker. While more than
/// `spoolUnwritten` octets are not written yet, `append` waits. One continuation, resumed once by the worker.
final class SegmentSpool: BodySpool {
  private let segments: BodySegments
  private let state = Mutex(State())

  private struct State {
    var size = 0
    /// Taken and not handed to the disk yet.
    var pending = ByteBuffer()
    /// Being written right now.
    var writing = 0
    var isStreaming = false
    /// Whether a job of this spool stands in the worker's queue.
    var isScheduled = false
    var isFinished = false
    var isDiscarded = false
    var failure: StoreError?
    var pin: SegmentPin?
    var extents: [SegmentLocation.Extent] = []
    var waiter: UnsafeContinuation<Void, Never>?
    /// The wait ends when at most this many octets are unwritten.
    var waitUntil = 0

    var unwritten: Int { pending.readableBytes + writing }
  }

  init(segments: BodySegments) { self.segments = segments }

  deinit {
    let held = state.withLock { $0.unwritten }
    segments.spooled.subtract(held, ordering: .relaxed)
  }

  var size: Int { state.withLock { $0.size } }

  func append(_ bytes: ByteBuffer) async throws(StoreError) {
    let limits = segments.limits
    let isPressed = segments.spooled.load(ordering: .relaxed) > limits.spoolMemoryTotal
    let (mustWait, mustSchedule) = try state.withLock { state throws(StoreError) in
      if let failure = state.failure { throw failure }
      guard !state.isFinished, !state.isDiscarded else { throw .invalid("the spool has ended") }
      guard bytes.readableBytes <= limits.bodySize - state.size else {
        state.failure = .invalid("a body is larger than \(limits.bodySize) octets")
        throw .invalid("a body is larger than \(limits.bodySize) octets")
      }
      state.size += bytes.readableBytes
      segments.spooled.add(bytes.readableBytes, ordering: .relaxed)
      state.pending.writeImmutableBuffer(bytes)
      guard state.pending.readableBytes > (isPressed ? limits.spoolMemoryPressed : limits.spoolMemory) else {
        return (false, false)
      }
      state.isStreaming = true
      defer { state.isScheduled = true }
      return (isPressed || state.unwritten > limits.spoolUnwritten, !state.isScheduled)
    }
    if mustSchedule { schedule() }
    if mustWait { try await wait(until: isPressed ? 0 : limits.spoolUnwritten / 2) }
  }

  func finish() async throws(StoreError) -> SpooledBody {
    let inMemory = try state.withLock { state throws(StoreError) -> ByteBuffer? in
      if let failure = state.failure { throw failure }
      guard !state.isFinished, !state.isDiscarded else { throw .invalid("the spool has ended") }
      state.isFinished = true
      return state.isStreaming ? nil : state.pending
    }
    if let inMemory { return SpooledBody(place: .memory(inMemory), size: inMemory.readableBytes) }
    try await wait(until: 0)
    // The spool keeps its pin as well, until it is discarded or gone.
    let written = state.withLock { state in state.pin.map { ($0, state.extents) } }
    guard let (pin, extents) = written else { throw .invalid("the spool has ended") }
    return SpooledBody(segment: SegmentLocation(segment: pin.segment.number, extents: extents), pin: pin)
  }

  func discard() {
    let dropped = state.withLock { state in
      state.isDiscarded = true
      state.pin = nil
      defer { state.pending = ByteBuffer() }
      return state.pending.readableBytes
    }
    segments.spooled.subtract(dropped, ordering: .relaxed)
  }

  /// Waits until at most `count` octets are unwritten, or writing has failed.
  private func wait(until count: Int) async throws(StoreError) {
    await withUnsafeContinuation { continuation in
      let (isReady, mustSchedule) = state.withLock { state in
        if state.failure != nil || state.unwritten <= count { return (true, false) }
        state.waitUntil = count
        state.waiter = continuation
        defer { state.isScheduled = true }
        return (false, !state.isScheduled)
      }
      if isReady { continuation.resume() }
      if mustSchedule { schedule() }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  // MARK: On the worker

  private func schedule() { segments.worker.submit { self.writePending() } }

  /// Writes one record of what is pending, and queues itself again while there is more.
  private func writePending() {
    let (piece, held, first) = state.withLock { state -> (ByteBuffer, SegmentPin?, Bool) in
      let count = min(state.pending.readableBytes, segments.limits.recordSize)
      let piece = state.pending.readSlice(length: count) ?? ByteBuffer()
      if state.pending.readableBytes == 0 { state.pending = ByteBuffer() }
      state.writing = count
      return (piece, state.pin, state.extents.isEmpty)
    }
    guard piece.readableBytes > 0 else { return settle(.success(nil)) }
    let result: Result<(SegmentPin, [SegmentLocation.Extent])?, StoreError>
    do throws(StoreError) {
      // A body that lost its segment has lost its beginning.
      guard first || held != nil else { throw .invalid("the spool was discarded") }
      let pin = if let held { held } else { try segments.begin(atLeast: piece.readableBytes) }
      var extents = state.withLock { $0.extents }
      try segments.append(piece, to: &extents, in: pin.segment)
      result = .success((pin, extents))
    } catch {
      result = .failure(error)
    }
    settle(result)
  }

  private func settle(_ result: Result<(SegmentPin, [SegmentLocation.Extent])?, StoreError>) {
    let (waiter, isMore, freed) = state.withLock { state -> (UnsafeContinuation<Void, Never>?, Bool, Int) in
      var freed = state.writing
      state.writing = 0
      switch result {
      case .success(let record):
        if let (pin, extents) = record, !state.isDiscarded {
          state.pin = pin
          state.extents = extents
        }
      case .failure(let error):
        state.failure = error
        state.pin = nil
        freed += state.pending.readableBytes
        state.pending = ByteBuffer()
      }
      let isDone = state.failure != nil || state.isDiscarded || state.unwritten <= state.waitUntil
      // What little is left waits for more to come, unless somebody waits for it.
      let enough = state.waiter != nil && !isDone ? 1 : segments.limits.spoolMemory
      state.isScheduled = state.pending.readableBytes >= enough
      defer { if isDone { state.waiter = nil } }
      return (isDone ? state.waiter : nil, state.isScheduled, freed)
    }
    segments.spooled.subtract(freed, ordering: .relaxed)
    if isMore { schedule() }
    waiter?.resume()
  }
}
