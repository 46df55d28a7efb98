import Bytes

/// The header that is being read: the message's own, a part's, or that of a message inside.
struct HeaderState: Sendable {
  /// The fields that are looked at.
  enum Known: Hashable, Sendable {
    case to, cc, bcc, date, from, sender, subject, received, replyTo, messageID, references, inReplyTo, deliveredTo, mimeVersion
    case contentID, contentMD5, contentType, contentLocation, contentLanguage, contentDisposition, contentDescription,
      contentEncoding
    case resent
  }

  /// Whether it begins a message, so that its envelope counts.
  var isMessage: Bool
  /// The field that is being read, with its line ends.
  var field: [UInt8] = []
  var fieldCount = 0
  var octets = 0
  /// Octets of the values that are kept below.
  var keptOctets = 0
  /// Over a budget: what follows is not read.
  var isOverBudget = false

  var envelope = EnvelopeFields()
  var references: [UInt8]?
  var contentType: [UInt8]?
  var encoding: [UInt8]?
  var disposition: [UInt8]?
  var id: [UInt8]?
  var description: [UInt8]?
  var language: [UInt8]?
  var location: [UInt8]?
  var md5: [UInt8]?

  init(isMessage: Bool) { self.isMessage = isMessage }

  /// Which of them `name` is; nil for all others. By length first: a header has many fields, and most are none of these.
  static func known(_ name: ArraySlice<UInt8>) -> Known? {
    switch name.count {
    case 2:
      if name.equals(ignoringCase: "to") { return .to }
      if name.equals(ignoringCase: "cc") { return .cc }
    case 3:
      if name.equals(ignoringCase: "bcc") { return .bcc }
    case 4:
      if name.equals(ignoringCase: "from") { return .from }
      if name.equals(ignoringCase: "date") { return .date }
    case 6:
      if name.equals(ignoringCase: "sender") { return .sender }
    case 7:
      if name.equals(ignoringCase: "subject") { return .subject }
    case 8:
      if name.equals(ignoringCase: "received") { return .received }
      if name.equals(ignoringCase: "reply-to") { return .replyTo }
    case 10:
      if name.equals(ignoringCase: "message-id") { return .messageID }
      if name.equals(ignoringCase: "references") { return .references }
      if name.equals(ignoringCase: "content-id") { return .contentID }
    case 11:
      if name.equals(ignoringCase: "in-reply-to") { return .inReplyTo }
      if name.equals(ignoringCase: "content-md5") { return .contentMD5 }
    case 12:
      if name.equals(ignoringCase: "content-type") { return .contentType }
      if name.equals(ignoringCase: "mime-version") { return .mimeVersion }
      if name.equals(ignoringCase: "delivered-to") { return .deliveredTo }
    case 16:
      if name.equals(ignoringCase: "content-language") { return .contentLanguage }
      if name.equals(ignoringCase: "content-location") { return .contentLocation }
    case 19:
      if name.equals(ignoringCase: "content-disposition") { return .contentDisposition }
      if name.equals(ignoringCase: "content-description") { return .contentDescription }
    case 25:
      if name.equals(ignoringCase: "content-transfer-encoding") { return .contentEncoding }
    default: break
    }
    return name.prefix(7).equals(ignoringCase: "resent-") ? .resent : nil
  }
}
