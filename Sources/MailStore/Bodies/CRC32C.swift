/// CRC-32C (Castagnoli; RFC 9260, appendix A): finds every burst of up to 32 bits, and any other damage but one in 2^32.
///
/// Plain Swift, sixteen tables, sixteen bytes a step. Streams: feed the bytes in order, in pieces of any size.
package struct CRC32C: Sendable {
  private var register: UInt32 = 0xFFFF_FFFF

  package init() {}

  /// The checksum of everything fed so far.
  package var value: UInt32 { ~register }

  /// The checksum of `bytes`.
  package static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var sum = CRC32C()
    sum.update(bytes)
    return sum.value
  }

  /// The checksum of `bytes`.
  package static func of(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { of($0) } }

  /// Feeds `bytes`.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var crc = register
    var offset = 0
    let count = bytes.count
    Self.tables.withUnsafeBufferPointer { table in
      while count - offset >= 16 {
        let first = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian ^ UInt64(crc)
        let second = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self).littleEndian
        crc =
          table[3840 &+ Int(first & 0xFF)] ^ table[3584 &+ Int(first >> 8 & 0xFF)]
          ^ table[3328 &+ Int(first >> 16 & 0xFF)] ^ table[3072 &+ Int(first >> 24 & 0xFF)]
        crc ^=
          table[2816 &+ Int(first >> 32 & 0xFF)] ^ table[2560 &+ Int(first >> 40 & 0xFF)]
          ^ table[2304 &+ Int(first >> 48 & 0xFF)] ^ table[2048 &+ Int(first >> 56)]
        crc ^=
          table[1792 &+ Int(second & 0xFF)] ^ table[1536 &+ Int(second >> 8 & 0xFF)]
          ^ table[1280 &+ Int(second >> 16 & 0xFF)] ^ table[1024 &+ Int(second >> 24 & 0xFF)]
        crc ^=
          table[768 &+ Int(second >> 32 & 0xFF)] ^ table[512 &+ Int(second >> 40 & 0xFF)]
          ^ table[256 &+ Int(second >> 48 & 0xFF)] ^ table[Int(second >> 56)]
        offset &+= 16
      }
      while offset < count {
        crc = table[Int((crc ^ UInt32(bytes[offset])) & 0xFF)] ^ (crc >> 8)
        offset &+= 1
      }
    }
    register = crc
  }

  /// Table k gives a byte's effect when k more bytes follow it.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 16 * 256)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
      tables[byte] = crc
    }
    for index in 256..<(16 * 256) {
      let before = tables[index - 256]
      tables[index] = tables[Int(before & 0xFF)] ^ (before >> 8)
    }
    return tables
  }()
}
