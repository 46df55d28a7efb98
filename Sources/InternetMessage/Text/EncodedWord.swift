import Bytes

/// Encoded words (RFC 2047): text beyond ASCII in a header.
///
/// Decoding is for people's eyes only: nothing decoded here is ever read as syntax, routed by or compared for authority.
public enum EncodedWord {
  /// Longest decoded text, in octets.
  public static let limit = 262_144

  /// The text of an unfolded value: encoded words decoded, blanks between two of them dropped (RFC 2047, 6.2), neighbours of one
  /// character set joined before decoding, since many break inside a character. Everything else is read as UTF-8. Control
  /// characters are taken out.
  public static func decode(_ value: [UInt8]) -> String {
    guard let start = firstMark(value, from: 0) else { return clean(String(decoding: value.prefix(limit), as: UTF8.self)) }
    var text = ""
    var plainStart = 0
    var search = start
    var pending: (charset: Charset, bytes: [UInt8])?
    while let mark = firstMark(value, from: search), text.utf8.count < limit {
      guard let word = parse(value, at: mark) else {
        search = mark + 2
        continue
      }
      let between = value[plainStart..<mark]
      let isJoined = pending != nil && between.allSatisfy { $0.isASCIIBlank }
      if isJoined, pending?.charset == word.charset {
        pending?.bytes += word.bytes
      } else {
        if let before = pending { text += before.charset.decode(before.bytes) }
        if !isJoined { text += String(decoding: between, as: UTF8.self) }
        pending = (word.charset, word.bytes)
      }
      plainStart = word.end
      search = word.end
    }
    if let before = pending { text += before.charset.decode(before.bytes) }
    text += String(decoding: value[min(plainStart, value.count)...], as: UTF8.self)
    return clean(text)
  }

  /// Where `=?` comes next.
  private static func firstMark(_ value: [UInt8], from start: Int) -> Int? {
    var index = start
    while index + 1 < value.count {
      if value[index] == 0x3D, value[index + 1] == 0x3F { return index }
      index += 1
    }
    return nil
  }

  /// `=?charset?encoding?text?=` (RFC 2047, 2). Some write longer ones than 75 octets, and blanks inside; both are read.
  private static func parse(_ value: [UInt8], at mark: Int) -> (charset: Charset, bytes: [UInt8], end: Int)? {
    var cursor = ByteCursor(value, in: (mark + 2)..<value.count)
    // Bounded, so that many marks without an end cost no more than their number times a line.
    let charset = cursor.take(atMost: 64) { $0 != 0x3F && $0.isASCIIVisible }
    guard !charset.isEmpty, cursor.take(0x3F), let encoding = cursor.next()?.asciiLowercased, cursor.take(0x3F) else { return nil }
    let range = cursor.takeRange(atMost: 1_024) { $0 != 0x3F }
    guard cursor.take(0x3F), cursor.take(0x3D) else { return nil }
    let text = cursor[range]
    var bytes: [UInt8] = []
    switch encoding {
    case 0x62:
      var decoder = Base64Decoder()
      decoder.decode(text, into: &bytes)
    case 0x71: bytes = decodeQ(text)
    default: return nil
    }
    return (Charset(charset), bytes, cursor.position)
  }

  /// The Q encoding (RFC 2047, 4.2).
  private static func decodeQ(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var cursor = ByteCursor(Array(text))
    var bytes: [UInt8] = []
    while let byte = cursor.next() {
      if byte == 0x5F {
        bytes.append(0x20)
      } else if byte == 0x3D, let high = cursor.peek, high.isASCIIHexDigit, let low = cursor.peek(at: 1), low.isASCIIHexDigit {
        cursor.skip(2)
        bytes.append(high.hexDigitValue << 4 | low.hexDigitValue)
      } else {
        bytes.append(byte)
      }
    }
    return bytes
  }

  /// Without control characters: a line break in a decoded text is a blank (HOSTILE 21).
  static func clean(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if !isControl(scalar) { result.append(scalar) } else if scalar == "\n" || scalar == "\t" { result.append(" ") }
    }
    return String(result)
  }

  private static func isControl(_ scalar: UnicodeScalar) -> Bool {
    scalar.value < 0x20 || (scalar.value >= 0x7F && scalar.value < 0xA0) || scalar.value == 0x2028 || scalar.value == 0x2029
  }

  /// `text` for an unstructured field: itself if it is plain ASCII, else encoded words of at most 75 octets in UTF-8 with a
  /// blank between, never broken inside a character (RFC 2047, 5).
  public static func encode(_ text: String) -> [UInt8] {
    let bytes = Array(clean(text).utf8)
    if bytes.allSatisfy({ $0 < 0x80 }), firstMark(bytes, from: 0) == nil { return bytes }
    var words: [UInt8] = []
    var word: [UInt8] = []
    // 45 octets are 60 characters of base 64; with `=?utf-8?B?` and `?=` 72.
    func end() {
      guard !word.isEmpty else { return }
      if !words.isEmpty { words.append(0x20) }
      words += Array("=?utf-8?B?".utf8) + Base64.encode(word) + Array("?=".utf8)
      word = []
    }
    for scalar in clean(text).unicodeScalars {
      let encoded = Array(String(scalar).utf8)
      if word.count + encoded.count > 45 { end() }
      word += encoded
    }
    end()
    return words
  }
}
