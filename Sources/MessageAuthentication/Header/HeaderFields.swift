import Bytes

/// A header as its fields, where they lie (RFC 5322, 2.2): what signatures name, from the bottom up.
struct HeaderFields: Sendable {
  struct Field: Hashable, Sendable {
    /// With its continuation lines and its last line end, which the last field may lack.
    var range: Range<Int>
    /// Behind the name, blanks before the colon left out. The range's start if there is no name: no field then.
    var nameEnd: Int
    /// Behind the colon.
    var valueStart: Int

    var isNamed: Bool { nameEnd > range.lowerBound }
  }

  let bytes: [UInt8]
  private(set) var fields: [Field] = []
  /// There were more than the limit.
  private(set) var isTruncated = false
  /// The fields of each name in lower case, from the top.
  private var positions: [[UInt8]: [Int]] = [:]

  /// Reads up to the first empty line, at most `limit` fields.
  init(_ bytes: [UInt8], limit: Int = 10_000) {
    self.bytes = bytes
    bytes.withUnsafeBytes { read($0, limit: limit) }
    for (index, field) in fields.enumerated() where field.isNamed {
      positions[name(of: field), default: []].append(index)
    }
  }

  private mutating func read(_ bytes: UnsafeRawBufferPointer, limit: Int) {
    var start = 0
    while start < bytes.count {
      let end = ByteScan.firstIndex(of: 0x0A, in: bytes, from: start).map { $0 + 1 } ?? bytes.count
      let line = bytes[start..<end]
      if line.elementsEqual([0x0D, 0x0A]) || line.elementsEqual([0x0A]) { return }
      if let last = fields.last, line.first?.isASCIIBlank == true {
        fields[fields.count - 1].range = last.range.lowerBound..<end
      } else if fields.count < limit {
        fields.append(Self.field(bytes, in: start..<end))
      } else {
        isTruncated = true
        return
      }
      start = end
    }
  }

  /// A name is visible ASCII; blanks before the colon are let through (RFC 5322, 4.5.8).
  private static func field(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>) -> Field {
    var nameEnd = range.lowerBound
    while nameEnd < range.upperBound, bytes[nameEnd].isASCIIVisible, bytes[nameEnd] != 0x3A { nameEnd += 1 }
    var colon = nameEnd
    while colon < range.upperBound, bytes[colon].isASCIIBlank { colon += 1 }
    guard colon < range.upperBound, bytes[colon] == 0x3A else {
      return Field(range: range, nameEnd: range.lowerBound, valueStart: range.lowerBound)
    }
    return Field(range: range, nameEnd: nameEnd, valueStart: colon + 1)
  }

  /// In lower case.
  func name(of field: Field) -> [UInt8] { bytes[field.range.lowerBound..<field.nameEnd].map(\.asciiLowercased) }

  /// The fields called `name` (in lower case), from the top.
  func positions(of name: [UInt8]) -> [Int] { positions[name] ?? [] }

  /// What a signature's `h=` stands for: for each name the lowest field of it that was not taken yet; a name without one stands for
  /// nothing (RFC 6376, 5.4.2). `excluded` is the signature itself.
  func selected(by names: [[UInt8]], except excluded: Int? = nil) -> [Int] {
    var left: [[UInt8]: ArraySlice<Int>] = [:]
    return names.compactMap { name in
      left[name, default: positions(of: name).filter { $0 != excluded }[...]].popLast()
    }
  }

  /// Whether a CR or LF stands anywhere but in a line end of both.
  var hasBareLineEnd: Bool {
    var before: UInt8 = 0
    for byte in bytes {
      if (byte == 0x0A) != (before == 0x0D) { return true }
      before = byte
    }
    return before == 0x0D
  }
}
