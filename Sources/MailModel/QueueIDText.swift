import Bytes

/// A queue id as people see it: 13 digits of Crockford's base 32 in lower case, so that texts sort as the ids do.
extension QueueID: CustomStringConvertible {
  /// Characters of the text form.
  public static let textLength = 13

  private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

  /// The text form in ASCII.
  public var utf8: [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(Self.textLength)
    for position in 1...Self.textLength {
      let shift = 5 * (Self.textLength - position)
      text.append(Self.digits[Int(truncatingIfNeeded: rawValue >> UInt64(shift)) & 31])
    }
    return text
  }

  public var description: String { String(decoding: utf8, as: UTF8.self) }

  /// Reads the text form, in either case, `i` and `l` for 1 and `o` for 0 as people mistype them; nil for anything else.
  public init?(_ text: some StringProtocol) { self.init(parsing: Array(text.utf8)) }

  /// The same from bytes.
  public init?(parsing text: [UInt8]) {
    guard text.count == Self.textLength else { return nil }
    var value: UInt64 = 0
    for byte in text {
      let digit: Int?
      switch byte.asciiLowercased {
      case 0x69, 0x6C: digit = 1
      case 0x6F: digit = 0
      case let lower: digit = Self.digits.firstIndex(of: lower)
      }
      // 13 digits hold 65 bits: the first may be at most 15.
      guard let digit, value >> 59 == 0 else { return nil }
      value = value << 5 | UInt64(digit)
    }
    self.init(rawValue: value)
  }
}
