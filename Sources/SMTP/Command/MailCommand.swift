import Bytes
import InternetMessage
import MailModel

/// `MAIL FROM:<reverse-path> [SP parameters]` (RFC 5321, 4.1.1.2).
enum MailCommand {
  /// Octets of ENVID before decoding (RFC 3461, 4.4).
  static let envelopeIDOctets = 100
  /// Octets of AUTH= before decoding (RFC 4954, 5 asks for 500).
  static let submitterOctets = 500

  static func parse(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> SMTPSender {
    guard cursor.take(ignoringCase: "FROM:") else { throw .badArgument }
    // RFC 5321, 3.3 allows no space here, but many clients send one, and it means nothing else.
    cursor.skipWhitespace()
    let path: EmailAddress?
    do { path = try AddressParser(allowsUTF8: true).reversePath(&cursor) } catch { throw .badSender }
    var sender = SMTPSender(envelope: Envelope(reversePath: path))
    var seen: Seen = []
    while let parameter = try Parameter.take(from: &cursor) {
      let flag = try apply(parameter, of: cursor, to: &sender)
      guard seen.insert(flag).inserted else { throw .badParameter }
    }
    // RFC 6531, 3.4: an address beyond ASCII needs the parameter.
    if let path, !path.isASCII, !sender.envelope.isInternationalized { throw .needsSMTPUTF8 }
    return sender
  }

  private struct Seen: OptionSet {
    let rawValue: UInt8
    static let size = Seen(rawValue: 1)
    static let body = Seen(rawValue: 2)
    static let utf8 = Seen(rawValue: 4)
    static let ret = Seen(rawValue: 8)
    static let envelopeID = Seen(rawValue: 16)
    static let requireTLS = Seen(rawValue: 32)
    static let auth = Seen(rawValue: 64)
  }

  private static func apply(
    _ parameter: Parameter, of cursor: ByteCursor, to sender: inout SMTPSender
  ) throws(SMTPCommandError) -> Seen {
    let keyword = cursor[parameter.keyword]
    let value = parameter.value.map { cursor[$0] }
    if keyword.equals(ignoringCase: "SIZE") {
      sender.declaredSize = try size(value)
      return .size
    }
    if keyword.equals(ignoringCase: "BODY") {
      sender.envelope.bodyType = try bodyType(value)
      return .body
    }
    if keyword.equals(ignoringCase: "SMTPUTF8") {
      guard value == nil else { throw .badParameter }
      sender.envelope.isInternationalized = true
      return .utf8
    }
    if keyword.equals(ignoringCase: "RET") {
      sender.envelope.return = try returned(value)
      return .ret
    }
    if keyword.equals(ignoringCase: "ENVID") {
      guard let value, let id = XText.decode(value, limit: envelopeIDOctets) else { throw .badParameter }
      sender.envelope.envelopeID = id
      return .envelopeID
    }
    if keyword.equals(ignoringCase: "REQUIRETLS") {
      // RFC 8689, 2: the parameter has no value.
      guard value == nil else { throw .badParameter }
      sender.envelope.requiresTLS = true
      return .requireTLS
    }
    if keyword.equals(ignoringCase: "AUTH") {
      guard let value, let submitter = XText.decode(value, limit: submitterOctets) else { throw .badParameter }
      sender.submitter = submitter
      return .auth
    }
    throw .unknownParameter
  }

  /// RFC 1870, 6: 1 to 20 digits. What does not fit 64 bits is as good as endless.
  private static func size(_ value: ArraySlice<UInt8>?) throws(SMTPCommandError) -> UInt64 {
    guard let value, (1...20).contains(value.count) else { throw .badParameter }
    var size: UInt64 = 0
    for byte in value {
      guard byte.isASCIIDigit else { throw .badParameter }
      size = size.multipliedChecked(by: 10)?.addedChecked(UInt64(byte &- 0x30)) ?? .max
    }
    return size
  }

  /// RFC 6152, 2; RFC 3030, 3.
  private static func bodyType(_ value: ArraySlice<UInt8>?) throws(SMTPCommandError) -> Envelope.BodyType {
    guard let value else { throw .badParameter }
    if value.equals(ignoringCase: "7BIT") { return .sevenBit }
    if value.equals(ignoringCase: "8BITMIME") { return .eightBitMIME }
    if value.equals(ignoringCase: "BINARYMIME") { return .binaryMIME }
    throw .badParameter
  }

  /// RFC 3461, 4.3.
  private static func returned(_ value: ArraySlice<UInt8>?) throws(SMTPCommandError) -> Envelope.Return {
    guard let value else { throw .badParameter }
    if value.equals(ignoringCase: "FULL") { return .full }
    if value.equals(ignoringCase: "HDRS") { return .headers }
    throw .badParameter
  }
}

extension EmailAddress {
  /// Whether it needs no SMTPUTF8.
  var isASCII: Bool { localPart.utf8.allSatisfy { $0 < 0x80 } && domain.utf8.allSatisfy { $0 < 0x80 } }
}
