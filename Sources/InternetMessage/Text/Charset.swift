import Bytes
import Glibc

/// A character set by its name in mail (RFC 2978), and text out of its bytes. Decoding is total and lossy: what can't be read
/// becomes U+FFFD.
public struct Charset: Hashable, Sendable {
  /// Most octets that are decoded at once; the rest is dropped.
  public static let limit = 1_048_576

  /// In lower case; empty is US-ASCII.
  public let name: String

  public init(_ label: [UInt8]) {
    // RFC 2231, 5: a language may follow behind `*`.
    let plain = label.prefix(64).prefix { $0 != 0x2A }
    let name = String(decoding: plain, as: UTF8.self).asciiLowercased
    self.name = Self.aliases[name] ?? name
  }

  private static let aliases: [String: String] = [
    "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8", "": "utf-8", "ansi_x3.4-1968": "utf-8", "unicode-1-1-utf-8": "utf-8",
    // Everybody who says Latin-1 means the superset.
    "iso-8859-1": "windows-1252", "latin1": "windows-1252", "iso8859-1": "windows-1252", "iso_8859-1": "windows-1252",
    "cp1252": "windows-1252", "cp1251": "windows-1251", "cp1250": "windows-1250", "iso-8859-8-i": "iso-8859-8",
    "latin2": "iso-8859-2", "latin9": "iso-8859-15", "iso8859-2": "iso-8859-2", "iso8859-15": "iso-8859-15", "cp866": "ibm866",
    "cp437": "ibm437", "cp850": "ibm850", "tis-620": "windows-874", "mac": "macintosh", "x-mac-roman": "macintosh",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "cp936": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932",
    "sjis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932", "big5": "big5-hkscs", "cp950": "big5-hkscs", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "x-euc-jp": "euc-jp", "utf-16": "utf-16be", "unicode": "utf-16le",
  ]

  /// What the C library decodes: sets of more than one octet a character, and no others (some of its modules had holes).
  private static let foreign: Set<String> = ["gb18030", "cp932", "euc-jp", "iso-2022-jp", "big5-hkscs", "cp949", "iso-2022-kr"]

  /// Octets below 128 are ASCII in it, whatever stands before them.
  var isASCIICompatible: Bool { name == "utf-8" || SingleByteCharsets.table(name) != nil }

  /// The text, U+FFFD for what is not of this set, at most `limit` octets in.
  public func decode(_ bytes: [UInt8]) -> String {
    let bytes = bytes.count > Self.limit ? Array(bytes.prefix(Self.limit)) : bytes
    switch name {
    case "utf-8": return String(decoding: bytes, as: UTF8.self)
    case "utf-16be", "utf-16le": return Self.decodeUTF16(bytes, isLittleEndian: name == "utf-16le")
    default: break
    }
    if let table = SingleByteCharsets.table(name) {
      if bytes.allSatisfy({ $0 < 0x80 }) { return String(decoding: bytes, as: UTF8.self) }
      let upper = Array(table.unicodeScalars)
      var text = String.UnicodeScalarView()
      for byte in bytes {
        if byte < 0x80 {
          text.append(UnicodeScalar(byte))
        } else {
          let index = Int(byte) - 0x80
          text.append(index < upper.count ? upper[index] : "\u{FFFD}")
        }
      }
      return String(text)
    }
    if Self.foreign.contains(name), let text = Self.decodeForeign(bytes, name) { return text }
    // Unknown: most of it is ASCII, and UTF-8 where it is not.
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func decodeUTF16(_ bytes: [UInt8], isLittleEndian: Bool) -> String {
    var isLittle = isLittleEndian
    var units: [UInt16] = []
    units.reserveCapacity(bytes.count / 2)
    var cursor = ByteCursor(bytes)
    while let first = cursor.next(), let second = cursor.next() {
      let unit = isLittle ? UInt16(second) << 8 | UInt16(first) : UInt16(first) << 8 | UInt16(second)
      if units.isEmpty, unit == 0xFFFE { isLittle.toggle() } else if !units.isEmpty || unit != 0xFEFF { units.append(unit) }
    }
    return String(decoding: units, as: UTF16.self)
  }

  /// Through iconv, which stands at the octet it can't read; that one is replaced and passed over.
  private static func decodeForeign(_ bytes: [UInt8], _ name: String) -> String? {
    let descriptor = iconv_open("UTF-8", name)
    guard let descriptor, Int(bitPattern: descriptor) != -1 else { return nil }
    defer { iconv_close(descriptor) }
    var input = bytes.map { CChar(bitPattern: $0) }
    // At most four octets of UTF-8 for each octet in, and U+FFFD is three.
    var output = [CChar](repeating: 0, count: bytes.count * 4 + 16)
    let written = input.withUnsafeMutableBufferPointer { source in
      output.withUnsafeMutableBufferPointer { target in
        var from = source.baseAddress
        var left = source.count
        var to = target.baseAddress
        var room = target.count
        while left > 0, room >= 8 {
          if iconv(descriptor, &from, &left, &to, &room) != -1 { break }
          guard left > 0, room >= 8, errno != E2BIG, let at = to, let now = from else { break }
          for (offset, byte) in [CChar(bitPattern: 0xEF), CChar(bitPattern: 0xBF), CChar(bitPattern: 0xBD)].enumerated() {
            at[offset] = byte
          }
          to = at + 3
          room -= 3
          from = now + 1
          left -= 1
        }
        return target.count - room
      }
    }
    return String(decoding: output.prefix(max(written, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
