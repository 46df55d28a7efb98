import Bytes

/// Addresses as people write them: dotted quads, and IPv6 in the canonical form of RFC 5952.
extension IPAddress: CustomStringConvertible {
  /// Reads `192.0.2.1` or `2001:db8::1` (also with a dotted quad at its end); `nil` for everything else, scopes included.
  public init?(text: some StringProtocol) {
    let bytes = Array(text.utf8.prefix(64))
    guard let parsed = bytes.contains(0x3A) ? Self.parseIPv6(bytes) : Self.parseIPv4(bytes[...]) else { return nil }
    self.init(bytes: parsed)
  }

  public var description: String { isIPv4 ? bytes.map { String($0) }.joined(separator: ".") : ipv6Text }

  /// Four decimal numbers of at most three digits, without leading zeros (which some read as octal).
  private static func parseIPv4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var cursor = ByteCursor(Array(text))
    var result: [UInt8] = []
    while result.count < 4 {
      if !result.isEmpty, !cursor.take(0x2E) { return nil }
      let start = cursor.position
      guard let number = cursor.takeDecimal(digits: 3, maximum: 255) else { return nil }
      if cursor.position - start > 1, cursor[start..<start + 1].first == 0x30 { return nil }
      result.append(UInt8(truncatingIfNeeded: number))
    }
    return cursor.isAtEnd ? result : nil
  }

  private static func parseIPv6(_ text: [UInt8]) -> [UInt8]? {
    var cursor = ByteCursor(text)
    var head: [UInt8] = []
    var tail: [UInt8]?
    if cursor.take(ignoringCase: "::") { tail = [] }
    while !cursor.isAtEnd {
      guard head.count + (tail?.count ?? 0) < 16 else { return nil }
      let start = cursor.position
      let digits = cursor.take(atMost: 5) { $0.isASCIIDigit || ($0.asciiLowercased >= 0x61 && $0.asciiLowercased <= 0x66) }
      var group: [UInt8]
      if cursor.peek == 0x2E {
        guard let quad = parseIPv4(cursor[start..<text.count]) else { return nil }
        group = quad
        cursor.skip(cursor.remaining)
      } else {
        guard !digits.isEmpty, digits.count <= 4, let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16) else {
          return nil
        }
        group = [UInt8(value >> 8), UInt8(value & 0xFF)]
      }
      if tail == nil { head += group } else { tail? += group }
      guard !cursor.isAtEnd else { break }
      guard cursor.take(0x3A), !cursor.isAtEnd else { return nil }
      if cursor.take(0x3A) {
        guard tail == nil else { return nil }
        tail = []
      }
    }
    guard let tail else { return head.count == 16 ? head : nil }
    let missing = 16 - head.count - tail.count
    return missing >= 2 ? head + [UInt8](repeating: 0, count: missing) + tail : nil
  }

  /// RFC 5952, 4: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`.
  private var ipv6Text: String {
    let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var best = 0..<0
    var index = 0
    while index < groups.count {
      let start = index
      while index < groups.count, groups[index] == 0 { index += 1 }
      if index - start > max(best.count, 1) { best = start..<index }
      index += 1
    }
    let texts = groups.map { String($0, radix: 16) }
    guard !best.isEmpty else { return texts.joined(separator: ":") }
    return texts[..<best.lowerBound].joined(separator: ":") + "::" + texts[best.upperBound...].joined(separator: ":")
  }
}

extension Endpoint: CustomStringConvertible {
  /// `192.0.2.1:25`, `[2001:db8::1]:25` or `unix:/path`.
  public var description: String {
    switch self {
    case .ip(let address, let port): address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// The address, if it is one of IP.
  public var address: IPAddress? {
    if case .ip(let address, _) = self { return address }
    return nil
  }
}
