import Bytes

/// One `esmtp-param` (RFC 5321, 4.1.2): a keyword and perhaps a value, as ranges of the line.
struct Parameter {
  var keyword: Range<Int>
  var value: Range<Int>?

  /// The next parameter, with the blanks before it; nil at the end of the line.
  static func take(from cursor: inout ByteCursor) throws(SMTPCommandError) -> Parameter? {
    guard !cursor.isAtEnd else { return nil }
    guard cursor.takeRange(while: { $0 == 0x20 }).count > 0 else { throw .badArgument }
    guard !cursor.isAtEnd else { return nil }
    let keyword = cursor.takeRange { $0.isASCIIAlphanumeric || $0 == UInt8(ascii: "-") }
    guard !keyword.isEmpty, cursor[keyword].first != UInt8(ascii: "-") else { throw .badArgument }
    guard cursor.take(UInt8(ascii: "=")) else { return Parameter(keyword: keyword, value: nil) }
    // esmtp-value: any octet but controls, space and "=" (RFC 5321, 4.1.2; RFC 6531, 3.3). "=" is let through: real clients send it.
    let value = cursor.takeRange { $0 > 0x20 && $0 != 0x7F }
    guard !value.isEmpty else { throw .badParameter }
    return Parameter(keyword: keyword, value: value)
  }
}
