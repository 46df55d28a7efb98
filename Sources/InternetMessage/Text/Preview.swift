import Bytes

/// The first words of a message for people (RFC 8970): decoded, blanks made one, markup taken out.
enum Preview {
  /// Characters (RFC 8970, 3.1: at most 256).
  static let characters = 200

  /// From the first octets of a text part.
  static func text(of bytes: [UInt8], encoding: MessagePart.Encoding, charset: Charset, isHTML: Bool) -> String {
    // What 200 characters can need at most, so that a plain text of any length costs little.
    let wanted = isHTML ? bytes.count : min(bytes.count, encoding == .quotedPrintable ? 3_600 : encoding == .base64 ? 1_800 : 1_200)
    var decoded: [UInt8] = []
    switch encoding {
    case .base64:
      var decoder = Base64Decoder()
      decoder.decode(bytes[..<wanted], into: &decoded)
    case .quotedPrintable:
      var decoder = QuotedPrintableDecoder()
      decoder.decode(bytes[..<wanted], into: &decoded)
      decoder.finish(into: &decoded)
    default: decoded = Array(bytes[..<wanted])
    }
    if !isHTML, charset.isASCIICompatible, let text = collapse(ascii: decoded) { return text }
    let text = charset.decode(decoded)
    return isHTML ? collapse(withoutMarkup(text)) : collapse(text.unicodeScalars)
  }

  /// The same for what is ASCII as far as it is shown, without a look at characters; nil if it is not.
  private static func collapse(ascii bytes: [UInt8]) -> String? {
    var result: [UInt8] = []
    result.reserveCapacity(characters)
    var needsBlank = false
    for byte in bytes {
      guard byte < 0x80 else { return nil }
      if byte <= 0x20 || byte == 0x7F {
        needsBlank = !result.isEmpty
        continue
      }
      if needsBlank {
        guard result.count < characters - 1 else { break }
        result.append(0x20)
        needsBlank = false
      }
      guard result.count < characters else { break }
      result.append(byte)
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Blanks and control characters made one blank, at most `characters` of them all.
  private static func collapse(_ scalars: String.UnicodeScalarView) -> String {
    var result = String.UnicodeScalarView()
    var count = 0
    var needsBlank = false
    for scalar in scalars {
      let value = scalar.value
      if value <= 0x20 || (value >= 0x7F && value <= 0xA0) || value == 0x2028 || value == 0x2029 {
        needsBlank = count > 0
        continue
      }
      // Marks of direction and of byte order say nothing in one line of a list.
      if (0x200B...0x200F).contains(value) || (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
        || value == 0xFEFF
      {
        continue
      }
      if needsBlank {
        guard count < characters - 1 else { break }
        result.append(" ")
        count += 1
      }
      needsBlank = false
      guard count < characters else { break }
      result.append(scalar)
      count += 1
    }
    // A character cut off by the end of what was kept.
    if result.last == "\u{FFFD}" { result.removeLast() }
    return String(result)
  }

  /// The text between tags, without style and script; common entities resolved. One pass.
  private static func withoutMarkup(_ text: String) -> String.UnicodeScalarView {
    var cursor = ByteCursor(Array(text.utf8))
    var output: [UInt8] = []
    while let byte = cursor.next() {
      if byte == 0x3C {
        if cursor.take(ignoringCase: "style") {
          skip(&cursor, past: "</style")
        } else if cursor.take(ignoringCase: "script") {
          skip(&cursor, past: "</script")
        } else if cursor.take(ignoringCase: "title") {
          skip(&cursor, past: "</title")
        } else if cursor.take(ignoringCase: "!--") {
          skip(&cursor, past: "-->")
          continue
        }
        _ = cursor.takeRange { $0 != 0x3E }
        _ = cursor.take(0x3E)
        output.append(0x20)
      } else if byte == 0x26 {
        output += entity(&cursor)
      } else {
        output.append(byte)
      }
    }
    return String(decoding: output, as: UTF8.self).unicodeScalars
  }

  private static func skip(_ cursor: inout ByteCursor, past end: StaticString) {
    while !cursor.isAtEnd, !cursor.take(ignoringCase: end) { cursor.skip(1) }
  }

  private static func entity(_ cursor: inout ByteCursor) -> [UInt8] {
    let names: [(StaticString, String)] = [
      ("nbsp;", " "), ("amp;", "&"), ("lt;", "<"), ("gt;", ">"), ("quot;", "\""), ("apos;", "'"), ("zwnj;", ""),
    ]
    for (name, text) in names where cursor.take(ignoringCase: name) { return Array(text.utf8) }
    let start = cursor.position
    if cursor.take(0x23), let number = cursor.takeDecimal(digits: 7, maximum: 0x10_FFFF), cursor.take(0x3B),
      let scalar = UnicodeScalar(UInt32(truncatingIfNeeded: number))
    {
      return Array(String(scalar).utf8)
    }
    cursor.reset(to: start)
    return [0x26]
  }
}
