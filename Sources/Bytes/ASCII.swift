/// ASCII classes and case, the only ones that mail protocols compare by.
extension UInt8 {
  /// `a`...`z` for `A`...`Z`; every other byte is itself.
  @inlinable public var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

  /// `A`...`Z` for `a`...`z`; every other byte is itself.
  @inlinable public var asciiUppercased: UInt8 { self >= 0x61 && self <= 0x7A ? self & 0xDF : self }

  /// `0`...`9`.
  @inlinable public var isASCIIDigit: Bool { self >= 0x30 && self <= 0x39 }

  /// `A`...`Z`, `a`...`z`.
  @inlinable public var isASCIILetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7A }

  /// A letter or a digit.
  @inlinable public var isASCIIAlphanumeric: Bool { isASCIILetter || isASCIIDigit }

  /// `0`...`9`, `A`...`F`, `a`...`f`.
  @inlinable public var isASCIIHexDigit: Bool { isASCIIDigit || ((self | 0x20) >= 0x61 && (self | 0x20) <= 0x66) }

  /// The value of a hexadecimal digit, 0 to 15; of another byte something in that range.
  @inlinable public var hexDigitValue: UInt8 { isASCIIDigit ? self &- 0x30 : ((self | 0x20) &- 0x57) & 15 }

  /// Space or horizontal tab.
  @inlinable public var isASCIIBlank: Bool { self == 0x20 || self == 0x09 }

  /// 0...31 or 127.
  @inlinable public var isASCIIControl: Bool { self < 0x20 || self == 0x7F }

  /// 33...126.
  @inlinable public var isASCIIVisible: Bool { self > 0x20 && self < 0x7F }
}

extension Collection<UInt8> {
  /// Whether the bytes are `text` (ASCII), letters compared without case.
  @inlinable
  public func equals(ignoringCase text: StaticString) -> Bool {
    let wantedCount = text.utf8CodeUnitCount
    guard count == wantedCount else { return false }
    return text.withUTF8Buffer { wanted in
      var offset = 0
      for byte in self {
        guard byte.asciiLowercased == wanted[offset].asciiLowercased else { return false }
        offset &+= 1
      }
      return true
    }
  }
}

extension String {
  /// The text with `A`...`Z` in lower case and everything else as it is.
  public var asciiLowercased: String {
    guard utf8.contains(where: { $0 >= 0x41 && $0 <= 0x5A }) else { return self }
    return String(decoding: utf8.map(\.asciiLowercased), as: UTF8.self)
  }

  /// The text safe for a log line or a terminal: control characters, and bytes that are not UTF-8, are written as `\xNN`.
  public static func escaped(_ bytes: some Sequence<UInt8>, limit: Int = 1_024) -> String {
    var text = ""
    for scalar in String(decoding: Array(bytes.prefix(limit)), as: UTF8.self).unicodeScalars {
      let value = scalar.value
      if value < 0x20 || value == 0x7F || (value >= 0x80 && value < 0xA0) || value == 0x2028 || value == 0x2029 {
        text += value < 0x10 ? "\\x0\(String(value, radix: 16))" : "\\x\(String(value, radix: 16))"
      } else if value == 0x5C {
        text += "\\\\"
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
