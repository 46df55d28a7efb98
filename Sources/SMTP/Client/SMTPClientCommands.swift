import Bytes
import InternetMessage
import MailModel
import NIOCore

/// Writes the commands of a transaction. What it writes holds no CR or LF but the one at the end of each line.
enum SMTPClientCommands {
  /// `MAIL FROM:<...>` with the parameters of `terms`.
  static func mail(_ transaction: SMTPClientTransaction, _ terms: SMTPClientPlan.Terms, into output: inout ByteBuffer) {
    let envelope = transaction.envelope
    output.writeStaticString("MAIL FROM:<")
    if let path = envelope.reversePath { write(path, terms, into: &output) }
    output.writeStaticString(">")
    if terms.givesSize { output.writeString(" SIZE=\(max(transaction.size, 0))") }
    switch terms.bodyType {
    case .sevenBit: break
    case .eightBitMIME: output.writeStaticString(" BODY=8BITMIME")
    case .binaryMIME: output.writeStaticString(" BODY=BINARYMIME")
    }
    if terms.usesUTF8 { output.writeStaticString(" SMTPUTF8") }
    if terms.requiresTLS { output.writeStaticString(" REQUIRETLS") }
    if terms.passesNotifications {
      switch envelope.return {
      case .unspecified: break
      case .full: output.writeStaticString(" RET=FULL")
      case .headers: output.writeStaticString(" RET=HDRS")
      }
      if let id = envelope.envelopeID {
        output.writeStaticString(" ENVID=")
        writeXtext(id.utf8, into: &output)
      }
    }
    output.writeStaticString("\r\n")
  }

  /// `RCPT TO:<...>` with the parameters of `terms`.
  static func recipient(_ recipient: SMTPClientTransaction.Recipient, _ terms: SMTPClientPlan.Terms, into output: inout ByteBuffer)
  {
    output.writeStaticString("RCPT TO:<")
    write(recipient.address, terms, into: &output)
    output.writeStaticString(">")
    if terms.passesNotifications {
      let notify = recipient.notification.notify
      if notify.contains(.never) {
        output.writeStaticString(" NOTIFY=NEVER")
      } else if !notify.isEmpty {
        var words: [String] = []
        if notify.contains(.success) { words.append("SUCCESS") }
        if notify.contains(.failure) { words.append("FAILURE") }
        if notify.contains(.delay) { words.append("DELAY") }
        output.writeString(" NOTIFY=\(words.joined(separator: ","))")
      }
      if let original = recipient.notification.originalRecipient { writeOriginal(original, terms, into: &output) }
    }
    output.writeStaticString("\r\n")
  }

  /// An address; its domain in A-labels unless SMTPUTF8 is used. Control characters can't be in one, and would be `?`.
  private static func write(_ address: EmailAddress, _ terms: SMTPClientPlan.Terms, into output: inout ByteBuffer) {
    let text = terms.usesUTF8 || !address.needsUTF8 ? address.wire : (address.withASCIIDomain ?? address).wire
    output.writeString(text)
  }

  /// ` ORCPT=type;address` (RFC 3461, 4.2; RFC 6533, 3 for `utf-8`). Left out if the type is no atom or the text too long.
  private static func writeOriginal(_ original: String, _ terms: SMTPClientPlan.Terms, into output: inout ByteBuffer) {
    let bytes = Array(original.utf8)
    guard let separator = bytes.firstIndex(of: 0x3B), separator > 0, bytes.count <= 500,
      bytes[..<separator].allSatisfy({ $0.isASCIIAlphanumeric || $0 == 0x2D })
    else { return }
    let address = bytes[(separator + 1)...]
    output.writeStaticString(" ORCPT=")
    output.writeBytes(bytes[..<separator])
    output.writeStaticString(";")
    if bytes[..<separator].equals(ignoringCase: "utf-8") {
      writeUTF8Xtext(String(decoding: address, as: UTF8.self), raw: terms.usesUTF8, into: &output)
    } else {
      writeXtext(address, into: &output)
    }
  }

  /// RFC 3461, 4: everything but 33...126 without `+` and `=` as `+HH`.
  static func writeXtext(_ bytes: some Sequence<UInt8>, into output: inout ByteBuffer) {
    for byte in bytes {
      if byte.isASCIIVisible, byte != 0x2B, byte != 0x3D {
        output.writeInteger(byte)
      } else {
        output.writeString(
          byte < 16 ? "+0\(String(byte, radix: 16, uppercase: true))" : "+\(String(byte, radix: 16, uppercase: true))")
      }
    }
  }

  /// RFC 6533, 3: `\x{HH}` for what may not stand as it is; beyond ASCII as UTF-8 only where SMTPUTF8 is used.
  private static func writeUTF8Xtext(_ text: String, raw: Bool, into output: inout ByteBuffer) {
    for scalar in text.unicodeScalars {
      let value = scalar.value
      let isPlain = value > 0x20 && value < 0x7F && value != 0x2B && value != 0x3D && value != 0x5C
      if isPlain || (raw && value >= 0xA0) {
        output.writeString(String(scalar))
      } else {
        output.writeString("\\x{\(String(value, radix: 16, uppercase: true))}")
      }
    }
  }
}
