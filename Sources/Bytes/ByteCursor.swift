/// A total cursor over bytes in memory: it never traps, whatever the bytes or the arguments.
///
/// Reading past the end gives `nil`; skipping past it stops at the end. Every parser of the protocols stands on it, so
/// that no subscript on bytes from the network is ever written elsewhere.
public struct ByteCursor: Sendable {
  @usableFromInline let bytes: [UInt8]
  @usableFromInline let limit: Int

  @usableFromInline var index: Int

  /// The offset of the next byte, from 0 to `bytes.count`.
  @inlinable public var position: Int { index }

  /// A cursor over all of `bytes`.
  @inlinable
  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
    self.limit = bytes.count
    self.index = 0
  }

  /// A cursor over `bytes[range]`, clamped to what is there.
  @inlinable
  public init(_ bytes: [UInt8], in range: Range<Int>) {
    self.bytes = bytes
    self.limit = Swift.min(Swift.max(range.upperBound, 0), bytes.count)
    self.index = Swift.min(Swift.max(range.lowerBound, 0), self.limit)
  }

  /// Whether every byte has been read.
  @inlinable public var isAtEnd: Bool { position >= limit }

  /// How many bytes are left, 0 at the end.
  @inlinable public var remaining: Int { limit - position }

  /// The next byte without taking it.
  @inlinable public var peek: UInt8? { position < limit ? bytes[position] : nil }

  /// The byte `offset` behind the next one; `nil` outside.
  @inlinable
  public func peek(at offset: Int) -> UInt8? {
    let (at, overflow) = position.addingReportingOverflow(offset)
    guard !overflow, at >= 0, at < limit else { return nil }
    return bytes[at]
  }

  /// Takes the next byte.
  @inlinable
  public mutating func next() -> UInt8? {
    guard position < limit else { return nil }
    let byte = bytes[position]
    index &+= 1
    return byte
  }

  /// Takes the next byte if it is `byte`.
  @inlinable
  public mutating func take(_ byte: UInt8) -> Bool {
    guard position < limit, bytes[position] == byte else { return false }
    index &+= 1
    return true
  }

  /// Takes `text` (ASCII) if it comes next, letters compared without case; takes nothing otherwise.
  @inlinable
  public mutating func take(ignoringCase text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard count <= limit - position else { return false }
    let matches = text.withUTF8Buffer { wanted in
      for offset in 0..<count where bytes[position &+ offset].asciiLowercased != wanted[offset].asciiLowercased { return false }
      return true
    }
    if matches { index &+= count }
    return matches
  }

  /// Takes bytes while `accepts` holds, at most `maximum`, and gives their range.
  @inlinable
  public mutating func takeRange(atMost maximum: Int = .max, while accepts: (UInt8) -> Bool) -> Range<Int> {
    let start = position
    let end = maximum < limit - start ? start + Swift.max(maximum, 0) : limit
    while position < end, accepts(bytes[position]) { index &+= 1 }
    return start..<position
  }

  /// Takes bytes while `accepts` holds, at most `maximum`.
  @inlinable
  public mutating func take(atMost maximum: Int = .max, while accepts: (UInt8) -> Bool) -> [UInt8] {
    Array(bytes[takeRange(atMost: maximum, while: accepts)])
  }

  /// Skips spaces and horizontal tabs.
  @inlinable
  public mutating func skipWhitespace() { _ = takeRange { $0 == 0x20 || $0 == 0x09 } }

  /// Skips `count` bytes, stopping at the end.
  @inlinable
  public mutating func skip(_ count: Int) { index += Swift.min(Swift.max(count, 0), limit - position) }

  /// Goes back (or on) to `position`, clamped to what is there. For a production that did not match.
  @inlinable
  public mutating func reset(to position: Int) { self.index = Swift.min(Swift.max(position, 0), limit) }

  /// Everything that is left, taken.
  @inlinable
  public mutating func rest() -> [UInt8] {
    defer { index = limit }
    return Array(bytes[position..<limit])
  }

  /// The bytes of `range`, clamped to what is there.
  @inlinable
  public subscript(range: Range<Int>) -> ArraySlice<UInt8> {
    let upper = Swift.min(Swift.max(range.upperBound, 0), limit)
    return bytes[Swift.min(Swift.max(range.lowerBound, 0), upper)..<upper]
  }

  /// Takes decimal digits as a number; `nil` (and nothing taken) without a digit, above `maximum`, or over `digits` digits.
  @inlinable
  public mutating func takeDecimal(digits: Int = 20, maximum: UInt64 = .max) -> UInt64? {
    let start = position
    var value: UInt64 = 0
    while position < limit, bytes[position].isASCIIDigit {
      guard position - start < digits, let next = value.multipliedChecked(by: 10)?.addedChecked(UInt64(bytes[position] &- 0x30))
      else {
        index = start
        return nil
      }
      value = next
      index &+= 1
    }
    guard position > start, value <= maximum else {
      index = start
      return nil
    }
    return value
  }
}
