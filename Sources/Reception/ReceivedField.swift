import Bytes
import InternetMessage
import MailModel
import Outside
import SMTP

/// The `Received:` field that is put on top at each hop (RFC 5321, 4.4).
///
/// One recipient is named in `for`; several are not, since each would learn of the others. TLS version and cipher stand in a
/// comment, as readers know it. All of it is ASCII, whatever the client says of itself, but for a recipient whose mail stays here: a
/// host that was not asked for SMTPUTF8 must not get it (RFC 6531, 3.7.3).
struct ReceivedField {
  var client: Client
  var hostname: String
  var id: QueueID
  var onlyRecipient: EmailAddress?
  /// No copy leaves this host.
  var allowsUTF8: Bool
  var time: Timestamp

  /// Whether there is UTF-8 in it.
  var isUTF8: Bool { shownRecipient?.needsUTF8 == true }

  /// The field with its CRLF, lines folded.
  var bytes: [UInt8] {
    var field: [UInt8] = []
    field.reserveCapacity(320)
    field.append(utf8: "Received: from ")
    field.append(utf8: fromDomain)
    field.append(utf8: " (")
    if let name = client.hostName.flatMap(Self.plainDomain) {
      field.append(utf8: name)
      field.append(utf8: " ")
    }
    field.append(utf8: client.bracketedText)
    field.append(utf8: ")")
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
    if let recipient = shownRecipient {
      field.append(utf8: "\r\n\tfor <")
      field.append(utf8: recipient.wire)
      field.append(utf8: ">")
    }
    field.append(utf8: ";\r\n\t")
    field += MailDate(time).wire
    field.append(utf8: "\r\n")
    return field
  }

  /// What `for` says: with A-labels if that makes it ASCII; nothing, if UTF-8 may not stand here.
  private var shownRecipient: EmailAddress? {
    guard let recipient = onlyRecipient, recipient.needsUTF8 else { return onlyRecipient }
    if let plain = recipient.withASCIIDomain, !plain.needsUTF8 { return plain }
    return allowsUTF8 ? recipient : nil
  }

  /// The client's name for itself where it is a domain or literal (RFC 5321, 4.4, From-domain); otherwise its address, so that
  /// nothing odd gets into a structured field (HOSTILE 14).
  private var fromDomain: String {
    let name = client.heloName
    if let domain = Self.plainDomain(name) { return domain }
    let isLiteral =
      name.hasPrefix("[") && name.hasSuffix("]") && name.utf8.count <= 255
      && name.utf8.dropFirst().dropLast().allSatisfy { $0.isASCIIAlphanumeric || $0 == 0x3A || $0 == 0x2E || $0 == 0x2D }
    if isLiteral { return name }
    if case .unix = client.remote { return "localhost" }
    return client.bracketedText
  }

  /// `name` if it can stand as a domain in a structured field, in A-labels; nil for anything else.
  private static func plainDomain(_ name: String) -> String? {
    guard !name.isEmpty, name.utf8.count <= 255 else { return nil }
    if isDomain(name) { return name }
    guard name.utf8.contains(where: { $0 >= 0x80 }) else { return nil }
    return EmailAddress(localPart: "", domain: name).asciiDomain.flatMap { isDomain($0) ? $0 : nil }
  }

  private static func isDomain(_ name: String) -> Bool {
    name.utf8.allSatisfy { $0.isASCIIAlphanumeric || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
  }
}

extension [UInt8] {
  mutating func append(utf8 text: String) { append(contentsOf: text.utf8) }
}
