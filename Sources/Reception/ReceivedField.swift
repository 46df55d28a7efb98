import Bytes
import InternetMessage
import MailModel
import Outside
import SMTP

/// The `Received:` field that is put on top at each hop (RFC 5321, 4.4).
///
/// One recipient is named in `for`; several are not, since each would learn of the others. TLS version and cipher stand in a
/// comment, as readers know it.
struct ReceivedField {
  var client: Client
  var hostname: String
  var id: QueueID
  var onlyRecipient: EmailAddress?
  var time: Timestamp

  /// The field with its CRLF, lines folded.
  var bytes: [UInt8] {
    var field: [UInt8] = []
    field.reserveCapacity(320)
    field.append(utf8: "Received: from ")
    field.append(utf8: fromDomain)
    field.append(utf8: " (")
    if let name = client.hostName, !name.isEmpty {
      field.append(utf8: name)
      field.append(utf8: " ")
    }
    field.append(utf8: "[")
    field.append(utf8: client.literalText)
    field.append(utf8: "])")
    if let tls = client.tls {
      field.append(utf8: "\r\n\t(using ")
      field.append(utf8: tls.version)
      field.append(utf8: " with cipher ")
      field.append(utf8: tls.cipher)
      field.append(utf8: ")")
    }
    field.append(utf8: "\r\n\tby ")
    field.append(utf8: hostname)
    field.append(utf8: " (Martlet) with ")
    field.append(utf8: client.protocolKeyword)
    field.append(utf8: " id ")
    field.append(utf8: id.description)
    if let recipient = onlyRecipient {
      field.append(utf8: "\r\n\tfor <")
      field.append(utf8: recipient.wire)
      field.append(utf8: ">")
    }
    field.append(utf8: ";\r\n\t")
    field += MailDate(time).wire
    field.append(utf8: "\r\n")
    return field
  }

  /// The client's name for itself where it is a domain or literal (RFC 5321, 4.4, From-domain); otherwise its address, so that
  /// nothing odd gets into a structured field (HOSTILE 14).
  private var fromDomain: String {
    let name = client.heloName
    let isDomain =
      !name.isEmpty && name.utf8.count <= 255
      && name.utf8.allSatisfy { $0.isASCIIAlphanumeric || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F || $0 >= 0x80 }
    let isLiteral =
      name.hasPrefix("[") && name.hasSuffix("]")
      && name.utf8.dropFirst().dropLast().allSatisfy { $0.isASCIIAlphanumeric || $0 == 0x3A || $0 == 0x2E || $0 == 0x2D }
    return isDomain || isLiteral ? name : "[\(client.literalText)]"
  }
}

extension [UInt8] {
  mutating func append(utf8 text: String) { append(contentsOf: text.utf8) }
}
