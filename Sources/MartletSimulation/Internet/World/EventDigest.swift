import NIOCore

/// A digest of everything that happened, in order: two runs that differ anywhere have different ones (FNV-1a, 64 bits).
///
/// Confined to the simulation's one thread: that is what makes `@unchecked Sendable` true.
final class EventDigest: @unchecked Sendable {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325
  private(set) var events = 0
  /// Told of each event, for those who look for where two runs part.
  var listener: ((String) -> Void)?

  func add(_ text: String) {
    events += 1
    for byte in text.utf8 { mix(byte) }
    mix(0)
    listener?(text)
  }

  /// Bytes that came over a wire, in one direction.
  func add(_ wire: Int, _ direction: UInt8, _ bytes: ByteBuffer) {
    events += 1
    mix(UInt8(truncatingIfNeeded: wire))
    mix(UInt8(truncatingIfNeeded: wire >> 8))
    mix(direction)
    bytes.withUnsafeReadableBytes { for byte in $0 { mix(byte) } }
    listener?("wire \(wire) \(direction) \(String(buffer: bytes).prefix(200))")
  }

  private func mix(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
}

/// How to tell whether bytes are what was sent.
enum Fingerprint {
  static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }
}
