import Bytes

/// Pieces of text that the mechanisms share.
enum SASLText {
  /// UTF-8 without control characters and NUL, from 1 to `limit` octets; nil for anything else.
  static func name(_ bytes: ArraySlice<UInt8>, limit: Int) -> String? {
    guard !bytes.isEmpty, bytes.count <= limit, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }

  /// A `saslname` (RFC 5802, 5.1): `=2C` is a comma, `=3D` an equals sign, any other `=` an error.
  static func saslName(_ bytes: ArraySlice<UInt8>, limit: Int) -> String? {
    var out: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      let byte = bytes[index]
      index += 1
      guard byte == 0x3D else {
        guard byte != 0x2C else { return nil }
        out.append(byte)
        continue
      }
      switch bytes[index...].prefix(2) {
      case [0x32, 0x43]: out.append(0x2C)
      case [0x33, 0x44]: out.append(0x3D)
      default: return nil
      }
      index += 2
    }
    return name(out[...], limit: limit)
  }

  /// Cuts at the first `separator`; nil if there is none.
  static func cut(_ bytes: ArraySlice<UInt8>, at separator: UInt8) -> (head: ArraySlice<UInt8>, tail: ArraySlice<UInt8>)? {
    guard let end = bytes.firstIndex(of: separator) else { return nil }
    return (bytes[..<end], bytes[(end + 1)...])
  }
}
