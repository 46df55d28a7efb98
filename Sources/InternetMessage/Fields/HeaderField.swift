import Bytes

/// One header field as bytes (RFC 5322, 2.2): its name and its value, unfolded.
public struct HeaderField: Hashable, Sendable {
  /// As written.
  public var name: [UInt8]
  /// Without its line ends (RFC 5322, 2.2.3) and without blanks around it. NUL is taken out.
  public var value: [UInt8]

  public init(name: [UInt8], value: [UInt8]) {
    self.name = name
    self.value = value
  }

  /// Reads a field with its continuation lines and line ends; nil if no name and colon come first.
  ///
  /// Blanks before the colon are let through (RFC 5322, 4.5.8).
  public init?(parsing field: [UInt8]) {
    guard let colon = Self.colon(in: field) else { return nil }
    var end = colon
    while end > 0, field[end - 1].isASCIIBlank { end -= 1 }
    self.name = Array(field[..<end])
    self.value = Self.unfold(field[(colon + 1)...])
  }

  /// Where the colon behind the name stands; nil if what comes first is no name (RFC 5322, 3.6.8 `ftext`).
  static func colon(in field: [UInt8]) -> Int? { field.withUnsafeBytes { colon(in: $0) } }

  static func colon(in field: UnsafeRawBufferPointer) -> Int? {
    var index = 0
    while index < field.count {
      let byte = field[index]
      if byte == 0x3A { return index > 0 ? index : nil }
      if byte.isASCIIBlank {
        var next = index
        while next < field.count, field[next].isASCIIBlank { next += 1 }
        return index > 0 && next < field.count && field[next] == 0x3A ? next : nil
      }
      guard byte.isASCIIVisible else { return nil }
      index += 1
    }
    return nil
  }

  /// The line that mbox puts before a message, quoted or not; it is no field.
  static func isMailboxLine(_ line: UnsafeRawBufferPointer) -> Bool {
    line.starts(with: [0x46, 0x72, 0x6F, 0x6D, 0x20]) || line.starts(with: [0x3E, 0x46, 0x72, 0x6F, 0x6D, 0x20])
  }

  /// A value without line ends, NUL, and blanks around it.
  static func unfold(_ value: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(value.count)
    for byte in value where byte != 0x0D && byte != 0x0A && byte != 0 {
      if byte.isASCIIBlank, result.isEmpty { continue }
      result.append(byte)
    }
    while let last = result.last, last.isASCIIBlank { result.removeLast() }
    return result
  }
}
