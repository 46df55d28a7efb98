import Bytes
import Outside

/// `XCLIENT 1*(SP attribute "=" value)` (Postfix, XCLIENT_README).
enum XCLIENTCommand {
  /// Octets of one value before decoding.
  static let valueOctets = 1_024

  static func parse(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> XCLIENTAttributes {
    var attributes = XCLIENTAttributes()
    var names: Set<String> = []
    guard !cursor.isAtEnd else { throw .badArgument }
    while !cursor.isAtEnd {
      let name = cursor.takeRange { $0.isASCIILetter }
      guard !name.isEmpty, cursor.take(UInt8(ascii: "=")) else { throw .badArgument }
      // Which of two would count is nobody's to guess.
      guard names.insert(String(decoding: cursor[name], as: UTF8.self).asciiLowercased).inserted else { throw .badParameter }
      let value = cursor.takeRange { $0.isASCIIVisible }
      guard let text = XText.decode(cursor[value], limit: valueOctets) else { throw .badParameter }
      try apply(cursor[name], text, to: &attributes)
      guard cursor.isAtEnd || cursor.takeRange(while: { $0 == 0x20 }).count > 0 else { throw .badArgument }
    }
    return attributes
  }

  private static func apply(
    _ name: ArraySlice<UInt8>, _ text: String, to attributes: inout XCLIENTAttributes
  ) throws(SMTPCommandError) {
    let isUnavailable = text == "[UNAVAILABLE]" || text == "[TEMPUNAVAIL]"
    let value = isUnavailable ? nil : text
    if name.equals(ignoringCase: "NAME") {
      attributes.name = value
    } else if name.equals(ignoringCase: "ADDR") {
      attributes.address = try address(value)
    } else if name.equals(ignoringCase: "PORT") {
      attributes.port = try port(value)
    } else if name.equals(ignoringCase: "PROTO") {
      guard value == "SMTP" || value == "ESMTP" || value == nil else { throw .badParameter }
      attributes.isExtended = value.map { $0 == "ESMTP" }
    } else if name.equals(ignoringCase: "HELO") {
      attributes.helo = value
    } else if name.equals(ignoringCase: "DESTADDR") {
      attributes.destinationAddress = try address(value)
    } else if name.equals(ignoringCase: "DESTPORT") {
      attributes.destinationPort = try port(value)
    } else {
      throw .unknownParameter
    }
  }

  /// An IPv4 address, or `IPV6:` and an IPv6 address.
  private static func address(_ text: String?) throws(SMTPCommandError) -> IPAddress? {
    guard let text else { return nil }
    let tag = "IPV6:"
    let isTagged = text.utf8.count > tag.utf8.count && text.utf8.prefix(tag.utf8.count).equals(ignoringCase: "IPV6:")
    guard let address = IPAddress(isTagged ? String(text.dropFirst(tag.count)) : text) else { throw .badParameter }
    return address
  }

  private static func port(_ text: String?) throws(SMTPCommandError) -> UInt16? {
    guard let text else { return nil }
    guard let port = UInt16(text), text.utf8.allSatisfy(\.isASCIIDigit) else { throw .badParameter }
    return port
  }
}
