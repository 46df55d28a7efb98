import Bytes
import InternetMessage
import MailModel

/// `RCPT TO:<forward-path> [SP parameters]` (RFC 5321, 4.1.1.3).
enum RecipientCommand {
  /// Octets of ORCPT before decoding (RFC 3461, 4.2).
  static let originalRecipientOctets = 500

  static func parse(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> SMTPRecipient {
    guard cursor.take(ignoringCase: "TO:") else { throw .badArgument }
    cursor.skipWhitespace()
    let address: EmailAddress
    do { address = try AddressParser(allowsUTF8: true).forwardPath(&cursor) } catch { throw .badRecipient }
    var recipient = SMTPRecipient(address: address)
    var hasNotify = false
    while let parameter = try Parameter.take(from: &cursor) {
      let keyword = cursor[parameter.keyword]
      guard keyword.equals(ignoringCase: "NOTIFY") || keyword.equals(ignoringCase: "ORCPT") else { throw .unknownParameter }
      guard let range = parameter.value else { throw .badParameter }
      if keyword.equals(ignoringCase: "NOTIFY") {
        guard !hasNotify else { throw .badParameter }
        hasNotify = true
        recipient.notification.notify = try notify(cursor[range])
      } else {
        guard recipient.notification.originalRecipient == nil else { throw .badParameter }
        recipient.notification.originalRecipient = try originalRecipient(cursor[range])
      }
    }
    return recipient
  }

  /// RFC 3461, 4.1: NEVER alone, or a list without it.
  private static func notify(_ value: ArraySlice<UInt8>) throws(SMTPCommandError) -> NotificationRequest.Notify {
    if value.equals(ignoringCase: "NEVER") { return .never }
    var result: NotificationRequest.Notify = []
    for word in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      if word.equals(ignoringCase: "SUCCESS") {
        result.insert(.success)
      } else if word.equals(ignoringCase: "FAILURE") {
        result.insert(.failure)
      } else if word.equals(ignoringCase: "DELAY") {
        result.insert(.delay)
      } else {
        throw .badParameter
      }
    }
    return result
  }

  /// RFC 3461, 4.2: `addr-type ";" xtext`; for the type `utf-8` (RFC 6533, 3) the address may hold UTF-8 itself.
  private static func originalRecipient(_ value: ArraySlice<UInt8>) throws(SMTPCommandError) -> String {
    guard value.count <= originalRecipientOctets, let semicolon = value.firstIndex(of: UInt8(ascii: ";")) else {
      throw .badParameter
    }
    let type = value[..<semicolon]
    guard !type.isEmpty, type.allSatisfy({ $0.isASCIIAlphanumeric || $0 == UInt8(ascii: "-") }) else { throw .badParameter }
    let address = value[value.index(after: semicolon)...]
    let decoded: String?
    if type.equals(ignoringCase: "utf-8"), address.contains(where: { $0 >= 0x80 }) {
      decoded = String(validating: address, as: UTF8.self)
    } else {
      decoded = XText.decode(address, limit: originalRecipientOctets)
    }
    guard let decoded else { throw .badParameter }
    return String(decoding: type, as: UTF8.self) + ";" + decoded
  }
}
