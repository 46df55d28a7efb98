import Bytes

/// IP addresses as text: read in every form of RFC 4291, 2.2, written as RFC 5952 says.
extension IPAddress: CustomStringConvertible {
  /// Reads `192.0.2.1` or `2001:db8::1`; nil for anything else. No leading zeros in IPv4 (octal to some), no zone, no brackets.
  public init?(_ text: String) { self.init(parsing: text.utf8) }

  /// The same from bytes.
  public init?(parsing text: some Collection<UInt8>) {
    guard text.count <= 45 else { return nil }
    if text.contains(0x3A) {
      self.init(parsingIPv6: Array(text))
    } else {
      self.init(parsingIPv4: text)
    }
  }

  /// Reads four decimal numbers with dots between. With `allowsLeadingZeros`, `127.000.000.001` is read as decimal, as the
  /// grammar of address literals has it (RFC 5321, 4.1.3).
  public init?(parsingIPv4 text: some Collection<UInt8>, allowsLeadingZeros: Bool = false) {
    guard text.count <= 15 else { return nil }
    var cursor = ByteCursor(Array(text))
    var bytes: [UInt8] = []
    for position in 0..<4 {
      guard position == 0 || cursor.take(0x2E) else { return nil }
      let start = cursor.position
      guard let number = cursor.takeDecimal(digits: 3, maximum: 255) else { return nil }
      guard allowsLeadingZeros || cursor[start..<(start + 1)].first != 0x30 || cursor.position == start + 1 else { return nil }
      bytes.append(UInt8(truncatingIfNeeded: number))
    }
    guard cursor.isAtEnd else { return nil }
    self.init(bytes: bytes)
  }

  private init?(parsingIPv6 text: [UInt8]) {
    var cursor = ByteCursor(text)
    var groups: [UInt16] = []
    // Where `::` stood, as a count of groups before it.
    var gap: Int?
    if cursor.peek == 0x3A {
      guard cursor.peek(at: 1) == 0x3A else { return nil }
      cursor.skip(2)
      gap = 0
    }
    while !cursor.isAtEnd {
      let start = cursor.position
      let digits = cursor.take(atMost: 5) { $0.isASCIIHexDigit }
      guard !digits.isEmpty, digits.count <= 4 || cursor.peek == 0x2E else { return nil }
      if cursor.peek == 0x2E {
        // The last 32 bits may be written as IPv4.
        guard groups.count <= 6, let tail = IPAddress(parsingIPv4: cursor[start..<text.count]) else { return nil }
        groups += [
          UInt16(tail.bytes[0]) << 8 | UInt16(tail.bytes[1]), UInt16(tail.bytes[2]) << 8 | UInt16(tail.bytes[3]),
        ]
        break
      }
      guard groups.count < 8 else { return nil }
      groups.append(digits.reduce(0) { $0 << 4 | UInt16($1.hexDigitValue) })
      if cursor.isAtEnd { break }
      guard cursor.take(0x3A) else { return nil }
      if cursor.take(0x3A) {
        guard gap == nil else { return nil }
        gap = groups.count
      } else if cursor.isAtEnd {
        return nil
      }
    }
    guard gap == nil ? groups.count == 8 : groups.count < 8 else { return nil }
    if let gap { groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap) }
    self.init(bytes: groups.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] })
  }

  /// The address as people and protocols write it (RFC 5952, 4).
  public var description: String { isIPv4 ? ipv4Description : ipv6Description }

  /// Written digit by digit: a client's address stands in several lines of each message.
  private var ipv4Description: String {
    var text: [UInt8] = []
    text.reserveCapacity(15)
    for byte in bytes {
      if !text.isEmpty { text.append(0x2E) }
      if byte >= 100 { text.append(0x30 + byte / 100) }
      if byte >= 10 { text.append(0x30 + byte / 10 % 10) }
      text.append(0x30 + byte % 10)
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// The address in IPv6's form also if it is IPv4 (`::ffff:192.0.2.1`; RFC 5952, 5).
  public var ipv6Description: String {
    guard !isIPv4 else { return "::ffff:\(description)" }
    var groups: [UInt16] = []
    for index in stride(from: 0, to: 16, by: 2) { groups.append(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1])) }
    // RFC 5952, 4.2.3: the longest run of two or more zero groups, the first among equals.
    var (runStart, runLength, start) = (0, 0, 0)
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(runLength, 1) { (runStart, runLength) = (start, end - start) }
      start = max(end, start) + 1
    }
    guard runLength > 0 else { return groups.map { String($0, radix: 16) }.joined(separator: ":") }
    let head = groups[..<runStart].map { String($0, radix: 16) }.joined(separator: ":")
    let tail = groups[(runStart + runLength)...].map { String($0, radix: 16) }.joined(separator: ":")
    return "\(head)::\(tail)"
  }
}
