/// UTF-8 as RFC 3629 defines it: no overlong form, no surrogate, nothing above U+10FFFF.
extension ByteCursor {
  /// Takes one UTF-8 sequence and gives its scalar; `nil` (and nothing taken) at the end or where the bytes are not UTF-8
  /// (RFC 3629, 4).
  public mutating func takeUTF8() -> UInt32? {
    guard let first = peek else { return nil }
    if first < 0x80 {
      skip(1)
      return UInt32(first)
    }
    let length: Int
    let smallest: UInt32
    var value: UInt32
    switch first {
    case 0xC2...0xDF: (length, smallest, value) = (2, 0x80, UInt32(first & 0x1F))
    case 0xE0...0xEF: (length, smallest, value) = (3, 0x800, UInt32(first & 0x0F))
    case 0xF0...0xF4: (length, smallest, value) = (4, 0x1_0000, UInt32(first & 0x07))
    default: return nil
    }
    for offset in 1..<length {
      guard let byte = peek(at: offset), byte & 0xC0 == 0x80 else { return nil }
      value = value << 6 | UInt32(byte & 0x3F)
    }
    guard value >= smallest, value <= 0x10_FFFF, !(0xD800...0xDFFF).contains(value) else { return nil }
    skip(length)
    return value
  }
}
