import Bytes

/// xtext (RFC 3461, 4): printable ASCII where `+HH` stands for an octet.
public enum XText {
  /// The decoded text; nil if the bytes are no xtext, decode to control characters or to something that is not UTF-8, or are
  /// empty.
  ///
  /// Decoded control characters are refused although the grammar has them: they would end lines in notifications (HOSTILE 14).
  public static func decode(_ bytes: some Collection<UInt8>, limit: Int) -> String? {
    guard !bytes.isEmpty, bytes.count <= limit else { return nil }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var iterator = bytes.makeIterator()
    while let byte = iterator.next() {
      switch byte {
      case UInt8(ascii: "+"):
        guard let high = iterator.next()?.hexadecimalValue, let low = iterator.next()?.hexadecimalValue else { return nil }
        decoded.append(high << 4 | low)
      case UInt8(ascii: "="): return nil
      case 0x21...0x7E: decoded.append(byte)
      default: return nil
      }
    }
    guard !decoded.contains(where: \.isASCIIControl) else { return nil }
    return String(validating: decoded, as: UTF8.self)
  }

  /// `text` as xtext (RFC 3461, 4): octets outside `!`...`~`, and `+` and `=`, as `+HH`.
  public static func encode(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var result: [UInt8] = []
    for byte in text.utf8 {
      if byte.isASCIIVisible, byte != UInt8(ascii: "+"), byte != UInt8(ascii: "=") {
        result.append(byte)
      } else {
        result.append(contentsOf: [UInt8(ascii: "+"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}

extension UInt8 {
  /// 0...15 for a hexadecimal digit of either case; nil otherwise.
  var hexadecimalValue: UInt8? {
    switch self {
    case 0x30...0x39: self &- 0x30
    case 0x41...0x46: self &- 0x37
    case 0x61...0x66: self &- 0x57
    default: nil
    }
  }
}
