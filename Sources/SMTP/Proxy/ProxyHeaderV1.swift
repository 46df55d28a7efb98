import Bytes
import NIOCore
import Outside

/// `PROXY SP family SP source SP destination SP port SP port CRLF` (PROXY protocol, 2.1).
enum ProxyHeaderV1 {
  static func take(from input: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
    let start = Array(input.readableBytesView.prefix(ProxyHeader.maximumLineOctets))
    let tag = Array("PROXY ".utf8)
    guard start.prefix(tag.count).elementsEqual(tag.prefix(start.count)) else { throw .malformed }
    guard let lineFeed = start.firstIndex(of: 0x0A) else {
      guard start.count < ProxyHeader.maximumLineOctets else { throw .tooLong }
      return nil
    }
    var cursor = ByteCursor(start, in: tag.count..<max(lineFeed - 1, tag.count))
    guard lineFeed > tag.count, start[lineFeed - 1] == 0x0D else { throw .malformed }
    let header = try parse(&cursor)
    input.moveReaderIndex(forwardBy: lineFeed + 1)
    return header
  }

  private static func parse(_ cursor: inout ByteCursor) throws(ProxyHeaderError) -> ProxyHeader {
    // 2.1: what follows UNKNOWN is to be ignored.
    if cursor.take(exactly: "UNKNOWN"), cursor.isAtEnd || cursor.peek == 0x20 { return .local }
    let isIPv4: Bool
    if cursor.take(exactly: "TCP4 ") {
      isIPv4 = true
    } else if cursor.take(exactly: "TCP6 ") {
      isIPv4 = false
    } else {
      throw .malformed
    }
    let source = try address(&cursor, isIPv4: isIPv4)
    let destination = try address(&cursor, isIPv4: isIPv4)
    let sourcePort = try port(&cursor)
    guard cursor.take(0x20) else { throw .malformed }
    let destinationPort = try port(&cursor)
    guard cursor.isAtEnd else { throw .malformed }
    return .proxied(source: .ip(source, port: sourcePort), destination: .ip(destination, port: destinationPort))
  }

  private static func address(_ cursor: inout ByteCursor, isIPv4: Bool) throws(ProxyHeaderError) -> IPAddress {
    let text = cursor.take { $0 != 0x20 }
    // An IPv4 address in IPv6 clothes is held as IPv4, so the family is told by the colon.
    guard cursor.take(0x20), text.contains(UInt8(ascii: ":")) != isIPv4, let address = IPAddress(parsing: text) else {
      throw .malformed
    }
    return address
  }

  /// 0...65535, without a leading zero.
  private static func port(_ cursor: inout ByteCursor) throws(ProxyHeaderError) -> UInt16 {
    let start = cursor.position
    let hasZero = cursor.peek == 0x30
    guard let value = cursor.takeDecimal(digits: 5, maximum: 65_535), !hasZero || cursor.position == start + 1 else {
      throw .malformed
    }
    return UInt16(truncatingIfNeeded: value)
  }
}

extension ByteCursor {
  /// Takes `text` if it comes next, letters compared with case.
  fileprivate mutating func take(exactly text: StaticString) -> Bool {
    let start = position
    let matches = text.withUTF8Buffer { wanted in wanted.allSatisfy { take($0) } }
    if !matches { reset(to: start) }
    return matches
  }
}
