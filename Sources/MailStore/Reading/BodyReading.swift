import MailModel
import NIOCore
import Outside

/// Reading stored bytes: prefix and body as one.
enum BodyReading {
  static func read(_ body: BodyID, range: Range<Int>, limit: Int, bodies: any BodyStorage, in database: Database) throws
    -> ByteBuffer
  {
    let found = try database.first(
      "SELECT size, prefix_size, checksum, damaged, segment, extents, prefix, body FROM messages WHERE id = ?",
      [.int(body.rawValue)]
    ) { try StoredBody($0, body) }
    guard let found else { throw StoreError.notFound("message \(body.rawValue)") }
    guard !found.isDamaged else { throw StoreError.damaged(body) }
    let lower = min(max(range.lowerBound, 0), found.size)
    let upper = min(max(range.upperBound, lower), found.size, lower.addedClamped(limit))
    return try found.bytes(lower..<upper, body, bodies)
  }

  /// Whether everything of the message has its checksum.
  static func isWhole(_ body: BodyID, bodies: any BodyStorage, in database: Database) throws -> Bool {
    let found = try database.first(
      "SELECT size, prefix_size, checksum, 0, segment, extents, prefix, body FROM messages WHERE id = ?", [.int(body.rawValue)]
    ) { row in Result { try StoredBody(row, body) } }
    guard let found else { return true }
    guard case .success(let stored) = found, stored.isSound else { return false }
    guard let location = stored.location else { return true }
    return try bodies.verify(location)
  }
}

/// A row of `messages` that holds bytes.
private struct StoredBody {
  let size: Int
  let isDamaged: Bool
  let prefix: [UInt8]
  let inline: [UInt8]
  let location: SegmentLocation?
  /// Prefix and inline bytes have their checksum, and the sizes agree.
  let isSound: Bool

  init(_ row: Row, _ body: BodyID) throws {
    size = Int(clamping: row.int(0))
    isDamaged = row.int(3) != 0
    prefix = row.blob(6)
    inline = row.blob(7)
    var checksum = CRC32C()
    prefix.withUnsafeBytes { checksum.update($0) }
    inline.withUnsafeBytes { checksum.update($0) }
    var stored = prefix.count + inline.count
    if let segment = row.optionalInt(4) {
      guard let location = SegmentLocation(segment: UInt32(clamping: segment), encodedExtents: row.blob(5)) else {
        throw StoreError.damaged(body)
      }
      self.location = location
      stored += location.length
    } else {
      location = nil
    }
    isSound = Int64(checksum.value) == row.int(2) && prefix.count == Int(clamping: row.int(1)) && stored == size
  }

  /// `range` lies within `size`.
  func bytes(_ range: Range<Int>, _ body: BodyID, _ bodies: any BodyStorage) throws -> ByteBuffer {
    guard isSound else { throw StoreError.damaged(body) }
    var result = ByteBuffer()
    result.reserveCapacity(range.count)
    if range.lowerBound < prefix.count { result.writeBytes(prefix[range.lowerBound..<min(range.upperBound, prefix.count)]) }
    guard range.upperBound > prefix.count else { return result }
    let rest = max(range.lowerBound - prefix.count, 0)..<(range.upperBound - prefix.count)
    guard let location else {
      result.writeBytes(inline[rest])
      return result
    }
    do {
      var piece = try bodies.read(location, range: rest)
      result.writeBuffer(&piece)
    } catch {
      // Damage and a medium that fails are told apart by looking at all of it.
      if try !bodies.verify(location) { throw StoreError.damaged(body) }
      throw error
    }
    return result
  }
}
