import NIOCore
import Outside

/// Why a body could not be read.
package enum SegmentReadError: Error, Hashable, Sendable {
  /// The bytes are not what was stored: where, and how. Before it is believed, the location must be looked up once more: if the
  /// database no longer holds it, the body was removed or moved, and its segment recycled, in between.
  case damaged(String)
  /// The medium or the limits of the process stood in the way; the body may be whole.
  case store(StoreError)

  /// As `BodyStorage` tells it.
  var storeError: StoreError {
    switch self {
    case .damaged(let what): .unavailable(what)
    case .store(let error): error
    }
  }
}

extension BodySegments {
  /// Octets `range` of a body, clamped to what is there and to `readSize`. Every record that is touched is checked as a whole.
  package func read(_ location: SegmentLocation, range: Range<Int>) throws(StoreError) -> ByteBuffer {
    let lower = min(max(range.lowerBound, 0), location.length)
    let upper = min(max(range.upperBound, lower), location.length, lower &+ limits.readSize)
    var result = ByteBuffer()
    guard lower < upper else { return result }
    result.reserveCapacity(upper - lower)
    var start = 0
    for index in location.extents.indices {
      let end = start &+ Int(location.extents[index].length)
      defer { start = end }
      guard end > lower, start < upper else { continue }
      let piece: ByteBuffer
      do {
        piece = try readRecord(index, of: location)
      } catch {
        throw error.storeError
      }
      let from = max(lower, start) - start
      let count = min(upper, end) - start - from
      guard let slice = piece.getSlice(at: piece.readerIndex + from, length: count) else {
        throw .unavailable("segment \(location.segment): a record is too short")
      }
      result.writeImmutableBuffer(slice)
    }
    return result
  }

  /// Reads all of a body and checks it: false if it is not what was stored; throws if that can't be said.
  package func verify(_ location: SegmentLocation) throws(StoreError) -> Bool {
    do {
      try check(location)
      return true
    } catch {
      guard case .store(let cause) = error else { return false }
      throw cause
    }
  }

  /// Reads all of a body and checks it; says where it is damaged and how.
  package func check(_ location: SegmentLocation) throws(SegmentReadError) {
    for index in location.extents.indices { _ = try readRecord(index, of: location) }
  }

  /// The octets of one record, checked against its header and against the location.
  func readRecord(_ index: Int, of location: SegmentLocation) throws(SegmentReadError) -> ByteBuffer {
    let extent = location.extents[index]
    let place = "segment \(location.segment) at \(extent.offset)"
    guard Int(extent.length) <= max(limits.recordSize, Self.greatestRecord) else {
      throw .damaged("\(place): length \(extent.length)")
    }
    let bytes: [UInt8]
    do {
      bytes = try readableFile(location.segment).read(at: extent.offset, count: SegmentRecord.headerSize + Int(extent.length))
    } catch {
      if error.kind == .notFound { throw .damaged("\(place): the file is missing") }
      throw .store(StoreError(error))
    }
    let expected = SegmentRecord(
      segment: location.segment, position: extent.offset, first: location.extents.first?.offset ?? extent.offset,
      index: UInt32(clamping: index), length: extent.length, checksum: extent.checksum)
    if let problem = expected.problem(with: bytes) { throw .damaged("\(place): the record \(problem)") }
    var buffer = ByteBuffer(bytes: bytes)
    buffer.moveReaderIndex(forwardBy: SegmentRecord.headerSize)
    return buffer
  }

  /// Octets of a record beyond which a location can't be right, whatever the limits were when it was written: 16 MiB.
  static let greatestRecord = 16_777_216

  private func readableFile(_ number: UInt32) throws(DiskError) -> any DiskFile {
    let open = state.withLock { state -> (any DiskFile)? in
      if let segment = state.active[number] { return segment.file }
      guard let index = state.readers.firstIndex(where: { $0.number == number }) else { return nil }
      let reader = state.readers.remove(at: index)
      state.readers.append(reader)
      return reader.file
    }
    if let open { return open }
    let file = try disk.open(Self.path(of: number), create: false, exclusive: false)
    state.withLock { state in
      // It may have been recycled since: then nothing must keep the file under this number.
      guard !state.isClosed, state.known.contains(number) else { return }
      state.readers.append((number, file))
      if state.readers.count > limits.openFiles { state.readers.removeFirst() }
    }
    return file
  }
}
