/// Reads a write-ahead log as SQLite's recovery does (SQLite's file format, 4): up to the last commit whose checksums hold.
enum LogScan {
  struct End: Equatable {
    var frames: Int
    var salts: [UInt8]
  }

  private static let headerSize = 32
  private static let frameHeaderSize = 24
  private static let pageSize = 4_096

  /// The last commit; nil if there is none.
  ///
  /// - Parameter read: gives octets of the log, nil beyond its end.
  static func lastCommit(_ read: (_ offset: Int64, _ count: Int) -> [UInt8]?) -> End? {
    guard let header = read(0, headerSize), header.count == headerSize, word(header, 0) & ~1 == 0x377F_0682,
      word(header, 8) == UInt32(pageSize)
    else { return nil }
    var sum = Checksum(isBigEndian: word(header, 0) & 1 == 1)
    sum.add(header[..<24])
    guard sum.first == word(header, 24), sum.second == word(header, 28) else { return nil }
    let salts = Array(header[16..<24])
    var committed = 0
    var frame = 0
    var offset = Int64(headerSize)
    while let bytes = read(offset, frameHeaderSize + pageSize), bytes.count == frameHeaderSize + pageSize,
      bytes[8..<16].elementsEqual(salts), word(bytes, 0) != 0
    {
      sum.add(bytes[..<8])
      sum.add(bytes[frameHeaderSize...])
      guard sum.first == word(bytes, 16), sum.second == word(bytes, 20) else { break }
      frame += 1
      offset += Int64(frameHeaderSize + pageSize)
      // A frame that ends a transaction names the size of the database after it.
      if word(bytes, 4) != 0 { committed = frame }
    }
    return committed > 0 ? End(frames: committed, salts: salts) : nil
  }

  private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// SQLite's sum over words, two at a time.
  private struct Checksum {
    let isBigEndian: Bool
    private(set) var first: UInt32 = 0
    private(set) var second: UInt32 = 0

    init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }

    mutating func add(_ bytes: ArraySlice<UInt8>) {
      bytes.withUnsafeBytes { raw in
        var index = 0
        while index + 8 <= raw.count {
          let one = raw.loadUnaligned(fromByteOffset: index, as: UInt32.self)
          let two = raw.loadUnaligned(fromByteOffset: index + 4, as: UInt32.self)
          first = first &+ (isBigEndian ? one.bigEndian : one.littleEndian) &+ second
          second = second &+ (isBigEndian ? two.bigEndian : two.littleEndian) &+ first
          index += 8
        }
      }
    }
  }
}
