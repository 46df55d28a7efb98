import Outside

/// One log record as a line, whose values can't pretend to be other values or other lines.
///
/// Every control, format, private and unassigned character is escaped, so no value can end a line, overwrite it on a terminal,
/// or change the order in which it reads. Values are cut at 2,048 octets.
struct LogLine {
  /// Octets of one value.
  static let valueSize = 2_048

  enum Format: Hashable {
    case text
    case json
  }

  private(set) var bytes: [UInt8] = []
  private let format: Format

  init(_ format: Format) {
    self.format = format
    bytes.reserveCapacity(256)
    if format == .json { bytes.append(0x7B) }
  }

  mutating func add(_ key: some StringProtocol, _ value: some StringProtocol) {
    switch format {
    case .text:
      if !bytes.isEmpty { bytes.append(0x20) }
      addKey(key)
      bytes.append(0x3D)
      addValue(value, isQuoted: Self.needsQuotes(value))
    case .json:
      if bytes.count > 1 { bytes.append(0x2C) }
      addValue(key, isQuoted: true)
      bytes.append(0x3A)
      addValue(value, isQuoted: true)
    }
  }

  consuming func finished() -> [UInt8] {
    if format == .json { bytes.append(0x7D) }
    bytes.append(0x0A)
    return bytes
  }

  private mutating func addKey(_ key: some StringProtocol) {
    for byte in key.utf8.prefix(64) {
      bytes.append(byte > 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x3D && byte != 0x5C ? byte : 0x5F)
    }
  }

  private static func needsQuotes(_ value: some StringProtocol) -> Bool {
    var isEmpty = true
    for byte in value.utf8.prefix(valueSize + 1) {
      if byte <= 0x20 || byte >= 0x7F || byte == 0x22 || byte == 0x3D || byte == 0x5C { return true }
      isEmpty = false
    }
    return isEmpty
  }

  private mutating func addValue(_ value: some StringProtocol, isQuoted: Bool) {
    if !isQuoted, value.utf8.count <= Self.valueSize {
      // Nothing in it needs quotes, so nothing needs an escape.
      bytes.append(contentsOf: value.utf8)
      return
    }
    if isQuoted { bytes.append(0x22) }
    var left = Self.valueSize
    for scalar in value.unicodeScalars {
      guard left > 0 else {
        bytes += [0x2E, 0x2E, 0x2E]
        break
      }
      left -= 1
      switch scalar.value {
      case 0x22, 0x5C: bytes += [0x5C, UInt8(truncatingIfNeeded: scalar.value)]
      case 0x0A: bytes += [0x5C, 0x6E]
      case 0x0D: bytes += [0x5C, 0x72]
      case 0x09: bytes += [0x5C, 0x74]
      case 0x20..<0x7F: bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      default:
        if Self.isVisible(scalar) {
          bytes += Array(String(scalar).utf8)
          left -= 3
        } else {
          addEscape(scalar)
          left -= 5
        }
      }
    }
    if isQuoted { bytes.append(0x22) }
  }

  private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    default: true
    }
  }

  /// `\u202e`; above U+FFFF as two surrogates, as JSON has it.
  private mutating func addEscape(_ scalar: Unicode.Scalar) {
    for unit in String(scalar).utf16 {
      let digits = String(unit, radix: 16)
      bytes += [0x5C, 0x75] + Array(repeating: 0x30, count: max(0, 4 - digits.utf8.count)) + Array(digits.utf8)
    }
  }

  /// `2026-11-25T01:02:03.456Z` (RFC 3339).
  static func time(_ timestamp: Timestamp) -> String {
    let seconds = timestamp.seconds
    // Rounded down, the seconds of the earliest moment lie before what microseconds can say; the rest is right all the same.
    let milliseconds = (timestamp.microseconds &- seconds &* 1_000_000) / 1_000
    let civil = CivilTime(seconds: seconds)
    let fields: [(number: Int64, digits: Int, end: UInt8)] = [
      (civil.year, 4, 0x2D), (civil.month, 2, 0x2D), (civil.day, 2, 0x54), (civil.hour, 2, 0x3A), (civil.minute, 2, 0x3A),
      (civil.second, 2, 0x2E), (milliseconds, 3, 0x5A),
    ]
    return String(unsafeUninitializedCapacity: 40) { buffer in
      var count = 0
      for field in fields { count += write(field.number, digits: field.digits, end: field.end, to: buffer, at: count) }
      return count
    }
  }

  /// Writes `number` with at least so many digits (7 at most are there for a year), and what ends it; how much it wrote.
  private static func write(
    _ number: Int64, digits: Int, end: UInt8, to buffer: UnsafeMutableBufferPointer<UInt8>, at start: Int
  ) -> Int {
    var digits = digits
    while digits < 7, number >= powers[digits] { digits += 1 }
    guard start + digits < buffer.count else { return 0 }
    var rest = number.magnitude
    for place in stride(from: start + digits - 1, through: start, by: -1) {
      buffer[place] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    buffer[start + digits] = end
    return digits + 1
  }

  private static let powers: [Int64] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
}
