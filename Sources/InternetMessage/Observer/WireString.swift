import Bytes

/// IMAP strings on the wire (RFC 9051, 4.3 and 9; RFC 3501, 9): what both versions of IMAP read.
enum WireString {
  /// Longest text in quotes; longer ones are literals.
  static let quotedLimit = 1_000

  /// `nstring`: NIL for nil, else a string.
  static func append(_ text: [UInt8]?, to output: inout [UInt8]) {
    guard let text else {
      output += [0x4E, 0x49, 0x4C]
      return
    }
    append(string: text[...], to: &output)
  }

  /// In quotes where that can be said in ASCII, else as a literal. NUL, CR and LF, which no field has, are dropped.
  static func append(string text: ArraySlice<UInt8>, to output: inout [UInt8]) {
    var isPlain = text.count <= quotedLimit
    var isClean = true
    for byte in text {
      if byte >= 0x80 { isPlain = false }
      if byte == 0 || byte == 0x0D || byte == 0x0A { isClean = false }
    }
    guard isClean else {
      append(string: text.filter { $0 != 0 && $0 != 0x0D && $0 != 0x0A }[...], to: &output)
      return
    }
    guard isPlain else {
      output.append(0x7B)
      output += Array(String(text.count).utf8)
      output += [0x7D, 0x0D, 0x0A]
      output += text
      return
    }
    output.append(0x22)
    for byte in text {
      if byte == 0x22 || byte == 0x5C { output.append(0x5C) }
      output.append(byte)
    }
    output.append(0x22)
  }

  static func append(_ text: StaticString, to output: inout [UInt8]) { text.withUTF8Buffer { output += $0 } }

  static func append(_ number: Int, to output: inout [UInt8]) { output += Array(String(max(number, 0)).utf8) }
}
