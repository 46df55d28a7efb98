/// Small records in one blob: numbers as LEB128, texts and bytes with their length before them. Reading is total.
struct Packer {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 128) { bytes.reserveCapacity(capacity) }

  mutating func put(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  mutating func put(_ value: Int) { put(UInt64(bitPattern: Int64(value))) }

  mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

  mutating func put(_ value: [UInt8]) {
    put(UInt64(value.count))
    bytes.append(contentsOf: value)
  }

  mutating func put(_ value: String) {
    var text = value
    text.withUTF8 { utf8 in
      put(UInt64(utf8.count))
      bytes.append(contentsOf: utf8)
    }
  }

  /// Nil is told from empty.
  mutating func put(_ value: String?) {
    put(value != nil)
    if let value { put(value) }
  }
}

/// Reads what `Packer` wrote. After the end, or on anything else, everything is zero and empty and `isBroken` holds.
struct Unpacker {
  private let bytes: [UInt8]
  private var index = 0
  private(set) var isBroken = false

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { isBroken || index >= bytes.count }

  mutating func number() -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while index < bytes.count, shift < 64 {
      let byte = bytes[index]
      index &+= 1
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift &+= 7
    }
    isBroken = true
    return 0
  }

  mutating func int() -> Int { Int(truncatingIfNeeded: number()) }

  mutating func signed() -> Int64 { Int64(bitPattern: number()) }

  mutating func flag() -> Bool { number() != 0 }

  /// A count of things that follow, each at least one byte long: never more than there can be.
  mutating func count() -> Int {
    let value = number()
    guard value <= UInt64(bytes.count - index) else {
      isBroken = true
      return 0
    }
    return Int(value)
  }

  mutating func data() -> [UInt8] {
    let count = count()
    defer { index &+= count }
    return Array(bytes[index..<(index + count)])
  }

  mutating func text() -> String {
    let count = count()
    defer { index &+= count }
    return String(decoding: bytes[index..<(index + count)], as: UTF8.self)
  }

  mutating func optionalText() -> String? { flag() ? text() : nil }
}
