/// The header in front of each piece of a body in a segment. 40 octets, little-endian:
///
///     0  magic "MBR1"        4  segment number      8  position of this header in the segment
///    16  position of the body's first record       24  index of this record in the body
///    28  length of the piece                       32  CRC-32C of the piece      36  CRC-32C of octets 0...35
///
/// Number and position are in the checksum, so a record that was written elsewhere, or that stood here in the file's life under
/// an earlier number, is not taken for the right one (HOSTILE 57).
package struct SegmentRecord: Hashable, Sendable {
  package static let headerSize = 40
  static let magic: UInt32 = 0x3152_424D

  package var segment: UInt32
  package var position: UInt64
  package var first: UInt64
  package var index: UInt32
  package var length: UInt32
  package var checksum: UInt32

  /// Header and piece as one write.
  func encoded(with piece: UnsafeRawBufferPointer) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.headerSize + piece.count) { buffer, count in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      raw.storeBytes(of: Self.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
      raw.storeBytes(of: segment.littleEndian, toByteOffset: 4, as: UInt32.self)
      raw.storeBytes(of: position.littleEndian, toByteOffset: 8, as: UInt64.self)
      raw.storeBytes(of: first.littleEndian, toByteOffset: 16, as: UInt64.self)
      raw.storeBytes(of: index.littleEndian, toByteOffset: 24, as: UInt32.self)
      raw.storeBytes(of: length.littleEndian, toByteOffset: 28, as: UInt32.self)
      raw.storeBytes(of: checksum.littleEndian, toByteOffset: 32, as: UInt32.self)
      let sum = CRC32C.of(UnsafeRawBufferPointer(rebasing: raw[0..<36]))
      raw.storeBytes(of: sum.littleEndian, toByteOffset: 36, as: UInt32.self)
      UnsafeMutableRawBufferPointer(rebasing: raw[Self.headerSize...]).copyMemory(from: piece)
      count = Self.headerSize + piece.count
    }
  }

  /// What is wrong with `bytes` as this record; nil if header and piece are exactly right.
  func problem(with bytes: [UInt8]) -> String? {
    bytes.withUnsafeBytes { raw in
      guard raw.count == Self.headerSize + Int(length) else { return "ends early" }
      func word(_ offset: Int) -> UInt32 { UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
      func wide(_ offset: Int) -> UInt64 { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
      guard word(36) == CRC32C.of(UnsafeRawBufferPointer(rebasing: raw[0..<36])), word(0) == Self.magic else {
        return "has no valid header"
      }
      guard word(4) == segment else { return "belongs to segment \(word(4))" }
      guard wide(8) == position else { return "belongs at position \(wide(8))" }
      guard wide(16) == first, word(24) == index, word(28) == length, word(32) == checksum else { return "is another body's" }
      guard CRC32C.of(UnsafeRawBufferPointer(rebasing: raw[Self.headerSize...])) == checksum else { return "fails its checksum" }
      return nil
    }
  }
}
