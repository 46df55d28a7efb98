import Bytes

/// The first of each field that IMAP's ENVELOPE shows, as unfolded bytes, and its writing (RFC 9051, 7.5.2).
struct EnvelopeFields: Sendable {
  var date: [UInt8]?
  var subject: [UInt8]?
  var from: [UInt8]?
  var sender: [UInt8]?
  var replyTo: [UInt8]?
  var to: [UInt8]?
  var cc: [UInt8]?
  var bcc: [UInt8]?
  var inReplyTo: [UInt8]?
  var messageID: [UInt8]?

  /// An envelope of nothing.
  static let empty: StaticString = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

  /// Writes the envelope; gives the list of `From`, which others want too.
  func write(limit: Int, to output: inout [UInt8]) -> AddressList? {
    output.append(0x28)
    WireString.append(date, to: &output)
    output.append(0x20)
    WireString.append(subject, to: &output)
    output.append(0x20)
    var fromText: [UInt8] = []
    let fromList = Self.write(from, limit: limit, to: &fromText)
    output += fromText
    // RFC 9051, 7.5.2: sender and reply-to that are missing or empty are those of from.
    for value in [sender, replyTo] {
      output.append(0x20)
      var text: [UInt8] = []
      let list = Self.write(value, limit: limit, to: &text)
      output += list?.items.isEmpty ?? true ? fromText : text
    }
    for value in [to, cc, bcc] {
      output.append(0x20)
      _ = Self.write(value, limit: limit, to: &output)
    }
    output.append(0x20)
    WireString.append(inReplyTo, to: &output)
    output.append(0x20)
    WireString.append(messageID, to: &output)
    output.append(0x29)
    return fromList
  }

  /// Addresses in a list of lists (RFC 9051, 7.5.2): name, route, mailbox, host; a NIL host marks groups and nothing else.
  private static func write(_ value: [UInt8]?, limit: Int, to output: inout [UInt8]) -> AddressList? {
    guard let value else {
      WireString.append("NIL", to: &output)
      return nil
    }
    let list = AddressList(parsing: value, limit: limit)
    guard !list.items.isEmpty else {
      WireString.append("NIL", to: &output)
      return list
    }
    output.append(0x28)
    for item in list.items {
      switch item.kind {
      case .mailbox:
        output.append(0x28)
        WireString.append(item.name.isEmpty ? nil : item.name, to: &output)
        output.append(0x20)
        WireString.append(item.route.isEmpty ? nil : item.route, to: &output)
        output.append(0x20)
        WireString.append(item.localPart, to: &output)
        output.append(0x20)
        WireString.append(item.domain, to: &output)
        output.append(0x29)
      case .groupStart:
        WireString.append("(NIL NIL ", to: &output)
        WireString.append(item.name, to: &output)
        WireString.append(" NIL)", to: &output)
      case .groupEnd: WireString.append("(NIL NIL NIL NIL)", to: &output)
      }
    }
    output.append(0x29)
    return list
  }
}
