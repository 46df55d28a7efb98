/// Where a body stands in the segments. Opaque to callers; the database keeps `segment` and `encodedExtents`.
///
/// A body lies in one segment, in one record or several (bodies that stream at the same time interleave). Each record's checksum
/// is kept here as well, so the database, not the segment, says what the right bytes are.
public struct SegmentLocation: Hashable, Sendable {
  /// One record.
  package struct Extent: Hashable, Sendable {
    /// Where its header begins in the segment.
    package var offset: UInt64
    /// Octets of the body in it (without the header).
    package var length: UInt32
    /// CRC-32C of those octets.
    package var checksum: UInt32

    package init(offset: UInt64, length: UInt32, checksum: UInt32) {
      self.offset = offset
      self.length = length
      self.checksum = checksum
    }

    /// Where the record ends in the segment.
    package var end: UInt64 { offset &+ UInt64(SegmentRecord.headerSize) &+ UInt64(length) }
  }

  /// The segment's number; each number is used once, for ever.
  package var segment: UInt32

  /// The body's records in order. At least one.
  package var extents: [Extent]

  package init(segment: UInt32, extents: [Extent]) {
    self.segment = segment
    self.extents = extents
  }

  /// Octets of the body.
  package var length: Int { extents.reduce(0) { $0 &+ Int($1.length) } }

  /// Octets it takes up in the segment, headers included.
  package var footprint: UInt64 { extents.reduce(0) { $0 &+ UInt64($1.length) &+ UInt64(SegmentRecord.headerSize) } }

  /// Where its last record ends.
  package var end: UInt64 { extents.reduce(0) { max($0, $1.end) } }

  /// The extents as the database keeps them: for each, offset less the end of the one before (zigzag), length and checksum, as
  /// LEB128 numbers. 12 octets for a body in one record; 20 KB for one of 200 MB.
  package var encodedExtents: [UInt8] {
    var bytes: [UInt8] = []
    var expected: UInt64 = 0
    for extent in extents {
      let step = Int64(bitPattern: extent.offset &- expected)
      Self.put(UInt64(bitPattern: (step << 1) ^ (step >> 63)), into: &bytes)
      Self.put(UInt64(extent.length), into: &bytes)
      Self.put(UInt64(extent.checksum), into: &bytes)
      expected = extent.end
    }
    return bytes
  }

  /// Reads what `encodedExtents` wrote; nil if it is anything else.
  package init?(segment: UInt32, encodedExtents bytes: [UInt8]) {
    var extents: [Extent] = []
    var index = 0
    var expected: UInt64 = 0
    while index < bytes.count {
      guard let zigzag = Self.take(from: bytes, &index), let length = Self.take(from: bytes, &index).flatMap(UInt32.init(exactly:)),
        let checksum = Self.take(from: bytes, &index).flatMap(UInt32.init(exactly:))
      else { return nil }
      let step = Int64(bitPattern: zigzag >> 1) ^ -Int64(bitPattern: zigzag & 1)
      let extent = Extent(offset: expected &+ UInt64(bitPattern: step), length: length, checksum: checksum)
      guard extent.offset <= Self.greatestOffset else { return nil }
      extents.append(extent)
      expected = extent.end
    }
    guard !extents.isEmpty else { return nil }
    self.init(segment: segment, extents: extents)
  }

  /// No file system holds a larger file, and sums of two such offsets still fit.
  private static let greatestOffset: UInt64 = 1 << 62

  private static func put(_ value: UInt64, into bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  private static func take(from bytes: [UInt8], _ index: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while index < bytes.count, shift < 64 {
      let byte = bytes[index]
      index &+= 1
      guard shift < 63 || byte <= 1 else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift &+= 7
    }
    return nil
  }
}
