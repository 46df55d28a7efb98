import Bytes
import NIOCore

/// The text of replies: cleaned when a reply is made, so that nothing from outside can end a line or forge another.
enum ReplyText {
  /// Whether `text` can stand in one line as it is.
  static func isClean(_ text: String) -> Bool {
    text.utf8.count <= SMTPReply.maximumLineText && !text.utf8.contains { $0.isASCIIControl }
  }

  /// `lines` without control characters, long ones in several, at most `SMTPReply.maximumLines`.
  static func lines(of lines: [String]) -> [String] {
    var result: [String] = []
    for line in lines {
      if isClean(line) {
        result.append(line)
      } else {
        wrap(line, into: &result)
      }
      if result.count >= SMTPReply.maximumLines { break }
    }
    return Array(result.prefix(SMTPReply.maximumLines))
  }

  /// Breaks a text at the last blank of a line's second half, else at the limit (never inside a character).
  private static func wrap(_ text: String, into result: inout [String]) {
    var line: [UInt8] = []
    var lastBlank = 0
    for scalar in text.unicodeScalars {
      if result.count >= SMTPReply.maximumLines { return }
      let isControl = scalar.value < 0x20 || scalar.value == 0x7F
      let bytes = isControl ? [UInt8(ascii: "?")] : Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      if line.count + bytes.count > SMTPReply.maximumLineText {
        let breaksAtBlank = lastBlank > SMTPReply.maximumLineText / 2
        result.append(String(decoding: breaksAtBlank ? line.prefix(lastBlank) : line[...], as: UTF8.self))
        line = breaksAtBlank ? Array(line.dropFirst(lastBlank + 1)) : []
        lastBlank = 0
      }
      if scalar.value == 0x20 { lastBlank = line.count }
      line.append(contentsOf: bytes)
    }
    result.append(String(decoding: line, as: UTF8.self))
  }

  /// Appends a line: `prefix`, `text` with every byte that is not printable ASCII as `?`, CRLF.
  static func write(_ prefix: ReplyPrefix, _ text: String, to buffer: inout ByteBuffer) {
    var text = text
    text.withUTF8 { bytes in
      buffer.reserveCapacity(minimumWritableBytes: ReplyPrefix.capacity + bytes.count + 2)
      withUnsafeBytes(of: prefix.bytes) { _ = buffer.writeBytes($0.prefix(prefix.count)) }
      if bytes.contains(where: { $0 >= 0x7F || $0 < 0x20 }) {
        buffer.writeBytes(bytes.lazy.map { $0 >= 0x7F || $0 < 0x20 ? UInt8(ascii: "?") : $0 })
      } else {
        buffer.writeBytes(UnsafeRawBufferPointer(bytes))
      }
      buffer.writeInteger(0x0D0A as UInt16)
    }
  }
}

/// The codes at the beginning of a reply line, gathered on the stack: at most `250-5.999.999 `, 14 octets.
struct ReplyPrefix {
  static let capacity = 16
  private(set) var bytes = SIMD16<UInt8>()
  private(set) var count = 0

  mutating func append(_ byte: UInt8) {
    guard count < Self.capacity else { return }
    bytes[count] = byte
    count += 1
  }

  /// 0...999 in decimal.
  mutating func append(number: UInt16) {
    if number >= 100 { append(UInt8(truncatingIfNeeded: 0x30 + number / 100 % 10)) }
    if number >= 10 { append(UInt8(truncatingIfNeeded: 0x30 + number / 10 % 10)) }
    append(UInt8(truncatingIfNeeded: 0x30 + number % 10))
  }
}
