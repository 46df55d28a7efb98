import Bytes

/// The base subject (RFC 5256, 2.1): what a thread is about, without `Re:`, `Fwd:` and `[list]`.
public enum BaseSubject {
  /// Longest subject that is looked at, in octets.
  static let limit = 1_000

  /// From a decoded subject.
  public static func of(_ subject: String) -> String {
    // Step 1: blanks become one.
    var text: [UInt8] = []
    for byte in subject.utf8.prefix(limit) {
      let isBlank = byte.isASCIIBlank || byte == 0x0D || byte == 0x0A
      if !isBlank { text.append(byte) } else if let last = text.last, last != 0x20 { text.append(0x20) }
    }
    var range = text.startIndex..<text.endIndex
    // Each turn takes at least five octets off, so it ends.
    while true {
      stripTrailers(text, &range)
      stripLeaders(text, &range)
      // Step 6: `[fwd: ... ]`.
      let inner = text[range]
      guard inner.count >= 6, inner.prefix(5).equals(ignoringCase: "[fwd:"), inner.last == 0x5D else { break }
      range = (range.lowerBound + 5)..<(range.upperBound - 1)
    }
    return String(decoding: text[range], as: UTF8.self)
  }

  /// Step 2: `(fwd)` and blanks at the end.
  private static func stripTrailers(_ text: [UInt8], _ range: inout Range<Int>) {
    while let last = text[range].last {
      if last == 0x20 {
        range = range.lowerBound..<(range.upperBound - 1)
      } else if range.count >= 5, text[range].suffix(5).equals(ignoringCase: "(fwd)") {
        range = range.lowerBound..<(range.upperBound - 5)
      } else {
        return
      }
    }
  }

  /// Steps 3 to 5: `Re:`, `Fw:`, `Fwd:` with a `[blob]` inside, and a `[blob]` before something else.
  private static func stripLeaders(_ text: [UInt8], _ range: inout Range<Int>) {
    while !range.isEmpty {
      var cursor = ByteCursor(text, in: range)
      if cursor.take(0x20) {
        range = cursor.position..<range.upperBound
        continue
      }
      let blobs = takeBlobs(&cursor)
      if takeReply(&cursor) {
        range = cursor.position..<range.upperBound
        continue
      }
      // Step 4: a blob goes only if something is left behind it.
      guard let blobs, blobs < range.upperBound, text[blobs..<range.upperBound].contains(where: { $0 != 0x20 }) else { return }
      range = blobs..<range.upperBound
    }
  }

  /// Blobs in a row (`subj-blob`: `[`, no brackets, `]`, blanks); where the first one ended.
  private static func takeBlobs(_ cursor: inout ByteCursor) -> Int? {
    var firstEnd: Int?
    while true {
      let start = cursor.position
      guard cursor.take(0x5B) else { return firstEnd }
      _ = cursor.takeRange { $0 != 0x5B && $0 != 0x5D }
      guard cursor.take(0x5D) else {
        cursor.reset(to: start)
        return firstEnd
      }
      cursor.skipWhitespace()
      if firstEnd == nil { firstEnd = cursor.position }
    }
  }

  /// `re`, `fw` or `fwd`, a blob or none, `:`.
  private static func takeReply(_ cursor: inout ByteCursor) -> Bool {
    let start = cursor.position
    guard cursor.take(ignoringCase: "re") || cursor.take(ignoringCase: "fwd") || cursor.take(ignoringCase: "fw") else {
      return false
    }
    cursor.skipWhitespace()
    if cursor.take(0x5B) {
      _ = cursor.takeRange { $0 != 0x5B && $0 != 0x5D }
      _ = cursor.take(0x5D)
      cursor.skipWhitespace()
    }
    if cursor.take(0x3A) { return true }
    cursor.reset(to: start)
    return false
  }
}
