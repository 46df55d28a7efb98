import Bytes

/// The DER that everybody publishes around an RSA key (RFC 5280, 4.1.2.7), where RFC 6376, 3.6.1 speaks of the bare one.
///
/// Read here rather than by OpenSSL, whose general decoder takes eight times as long as a verification and would try keys of all kinds.
enum SubjectPublicKeyInfo {
  /// rsaEncryption without parameters but NULL (RFC 8017, A.1).
  private static let algorithm: [UInt8] = [
    0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
  ]

  /// The RSAPublicKey inside; nil if this is none, or something stands behind it.
  static func rsaKey(in der: [UInt8]) -> ArraySlice<UInt8>? {
    var cursor = ByteCursor(der)
    guard cursor.take(0x30), takeLength(&cursor) == cursor.remaining else { return nil }
    for byte in algorithm { guard cursor.take(byte) else { return nil } }
    // A bit string of whole octets.
    guard cursor.take(0x03), takeLength(&cursor) == cursor.remaining, cursor.take(0x00) else { return nil }
    return cursor[cursor.position..<der.count]
  }

  /// A definite length of at most two octets: more no key of a record has.
  private static func takeLength(_ cursor: inout ByteCursor) -> Int? {
    guard let first = cursor.next() else { return nil }
    if first < 0x80 { return Int(first) }
    guard first == 0x81 || first == 0x82 else { return nil }
    var length = 0
    for _ in 0..<(first & 3) {
      guard let next = cursor.next() else { return nil }
      length = length << 8 | Int(next)
    }
    return length
  }
}
