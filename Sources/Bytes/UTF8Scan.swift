/// Whether a stream of octets is UTF-8 (RFC 3629, 4), told piece by piece however it is cut.
public struct UTF8Scan: Hashable, Sendable {
  private var isBroken = false
  /// Octets that the sequence still needs, and what the next may be.
  private var missing = 0
  private var lowest: UInt8 = 0x80
  private var highest: UInt8 = 0xBF

  public init() {}

  /// A sequence has begun and is not complete.
  public var isOpen: Bool { missing > 0 }

  /// Whether all that was taken is UTF-8, complete to the last octet.
  public var isValid: Bool { !isBroken && missing == 0 }

  /// Takes the next piece.
  public mutating func take(_ bytes: some Sequence<UInt8>) {
    guard !isBroken else { return }
    for byte in bytes { take(byte) }
  }

  private mutating func take(_ byte: UInt8) {
    if missing > 0 {
      if byte < lowest || byte > highest { isBroken = true }
      missing -= 1
      (lowest, highest) = (0x80, 0xBF)
      return
    }
    switch byte {
    case 0..<0x80: return
    case 0xC2...0xDF: missing = 1
    // Neither overlong, nor a surrogate, nor beyond U+10FFFF.
    case 0xE0: (missing, lowest) = (2, 0xA0)
    case 0xED: (missing, highest) = (2, 0x9F)
    case 0xE1...0xEF: missing = 2
    case 0xF0: (missing, lowest) = (3, 0x90)
    case 0xF4: (missing, highest) = (3, 0x8F)
    case 0xF1...0xF3: missing = 3
    default: isBroken = true
    }
  }
}
