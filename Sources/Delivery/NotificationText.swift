import Bytes
import InternetMessage
import MailModel
import Outside

/// What a notification is made of: everything is given, so the same input makes the same bytes.
struct NotificationText {
  /// A recipient as the report names it.
  struct Recipient: Hashable, Sendable {
    var address: EmailAddress
    /// ORCPT as the sender gave it, `type;address`.
    var originalRecipient: String?
    /// `5.1.1`.
    var status: String
    /// One line for people: who said what.
    var explanation: String
    var diagnostic: Diagnostic?
    /// A domain name, or an address as text.
    var remoteHost: String?
    /// When it is tried again, for a delay.
    var next: Timestamp?
  }

  /// RFC 3464, 2.3.6.
  enum Diagnostic: Hashable, Sendable {
    /// The remote's exact reply.
    case smtp(String)
    /// What we say ourselves, which is no reply of SMTP.
    case own(String)
  }

  var stage: ComposedNotification.Stage
  var hostname: String
  var id: QueueID
  var to: EmailAddress
  var date: Timestamp
  var boundary: String
  var subject: QueueID
  var arrival: Timestamp
  /// Until when it is tried, for a delay.
  var retryUntil: Timestamp?
  var envelopeID: String?
  /// Who sent the message; nil: the null path.
  var sender: EmailAddress?
  var recipients: [Recipient]
  /// The original, or its header only.
  var original: [UInt8]
  var isWhole: Bool
  /// It tells of a notification that could not be delivered.
  var isDoubleBounce: Bool

  /// A header in UTF-8 (RFC 6532): the parts of RFC 6533, sent with SMTPUTF8. The report itself is always said in ASCII, which every
  /// program that reads reports understands. A header in another charset is returned as it is, in a part of 8 bits.
  var isInternational: Bool {
    let header = headerOf(original)
    guard !header.allSatisfy({ $0 < 0x80 }) else { return to.needsUTF8 }
    var scan = UTF8Scan()
    scan.take(header)
    return scan.isValid
  }

  var hasEightBit: Bool { isInternational || !original.allSatisfy { $0 < 0x80 } || !human.utf8.allSatisfy { $0 < 0x80 } }

  /// The whole message (RFC 3462, RFC 3464; RFC 6533 where it is international).
  func bytes() -> [UInt8] {
    var lines = FieldWriter()
    lines.add("From", "Mail Delivery System <postmaster@\(hostname)>")
    lines.add("To", "<\(to.domain.isEmpty ? "\(to.wire)@\(hostname)" : to.wire)>")
    lines.add("Subject", title)
    lines.add("Date", MailDate(date).text)
    lines.add("Message-ID", "<\(id)@\(hostname)>")
    // RFC 3834, 5: no program is to answer this.
    lines.add("Auto-Submitted", "auto-replied")
    lines.add("MIME-Version", "1.0")
    lines.add("Content-Type", "multipart/report; report-type=delivery-status; boundary=\"\(boundary)\"")
    var result = lines.bytes + Array("\r\n".utf8)
    append(human.utf8, type: "text/plain; charset=utf-8", to: &result)
    append(report, type: "message/delivery-status", to: &result)
    let originalType: String
    switch (isWhole, isInternational) {
    case (true, true): originalType = "message/global"
    case (true, false): originalType = "message/rfc822"
    case (false, true): originalType = "message/global-headers"
    case (false, false): originalType = "text/rfc822-headers"
    }
    append(original, type: originalType, to: &result)
    return result + Array("--\(boundary)--\r\n".utf8)
  }

  private func append(_ content: some Sequence<UInt8>, type: String, to result: inout [UInt8]) {
    let content = Array(content)
    result += Array("--\(boundary)\r\nContent-Type: \(type)\r\n".utf8)
    if content.contains(where: { $0 >= 0x80 }) { result += Array("Content-Transfer-Encoding: 8bit\r\n".utf8) }
    result += Array("\r\n".utf8)
    result += content
    // RFC 2046, 5.1.1: the line end before a boundary belongs to the boundary, not to the part.
    result += Array("\r\n".utf8)
  }

  private func headerOf(_ message: [UInt8]) -> [UInt8] {
    guard isWhole else { return message }
    return Array(message.prefix(MessageHead.length(of: message)))
  }

  // MARK: For people

  private var title: String {
    switch stage {
    case .failed: isDoubleBounce ? "Undeliverable notification" : "Your message could not be delivered"
    case .delayed: "Your message is delayed"
    case .held: "A queued message is damaged"
    case .delivered: "Your message was delivered"
    case .relayed, .expanded: "Your message was passed on"
    }
  }

  private var human: String {
    var text = "This is the mail system at \(hostname).\r\n\r\n"
    let date = MailDate(arrival).text
    switch stage {
    case .failed:
      text +=
        isDoubleBounce
        ? "A notification, or another message without a sender to tell, could not be delivered. It is\r\nmessage \(subject), which arrived here on \(date).\r\n"
        : "Your message, which arrived here on\r\n\(date), could not be delivered to:\r\n"
    case .delayed:
      text += "Your message, which arrived here on\r\n\(date), has not been delivered yet to:\r\n"
    case .held:
      text +=
        "The message \(subject), which arrived here on\r\n\(date)\r\nfrom <\(Self.printable(sender?.wire ?? ""))>, can't be read from the disk as it was written.\r\n"
        + "It was not sent to, and is held for:\r\n"
    case .delivered: text += "Your message, which arrived here on\r\n\(date), was delivered to:\r\n"
    case .relayed, .expanded:
      text += "Your message, which arrived here on\r\n\(date), was passed on to a host that sends no confirmations, for:\r\n"
    }
    for recipient in recipients {
      text += "\r\n  \(Self.printable(recipient.address.wire))\r\n"
      for line in Self.wrapped(Self.printable(recipient.explanation)) { text += "    \(line)\r\n" }
      if stage == .failed, let advice = Self.advice(recipient.status) { text += "    \(advice)\r\n" }
    }
    text += "\r\n" + closing + "\r\nThe technical details follow. The message is known here as \(subject).\r\n"
    return text
  }

  private var closing: String {
    switch stage {
    case .failed: "It will not be tried again."
    case .delayed:
      "You need not do anything: it is tried again until\r\n\(retryUntil.map { MailDate($0).text } ?? "its time is over"); then you will hear of it."
    case .held:
      "The disk may be failing: 'martlet store verify' checks all messages. If you can restore this one from a\r\nbackup of the store, 'martlet queue release \(subject)' sends it; 'martlet queue remove \(subject)' gives it\r\nup. Its sender has not been told."
    case .delivered: "You asked for this confirmation."
    case .relayed, .expanded: "You asked for this confirmation; whether it was read, or even delivered, is not known here."
    }
  }

  /// What the sender can do, by the enhanced code (RFC 3463, 3).
  private static func advice(_ status: String) -> String? {
    let numbers = status.split(separator: ".").compactMap { Int($0) }
    guard numbers.count == 3 else { return nil }
    switch (numbers[1], numbers[2]) {
    case (1, 10): return "What to do: this domain takes no mail; find another address."
    case (1, 2): return "What to do: check the part behind the @ for mistakes."
    case (1, 0), (1, 1), (1, 3), (1, 6): return "What to do: check the address for mistakes."
    case (2, 2): return "What to do: the mailbox is full; try again later or reach the person another way."
    case (2, 3), (3, 4): return "What to do: send a smaller message."
    case (4, 6): return "What to do: tell the recipient's postmaster; mail goes in circles there."
    case (4, _): return "What to do: try again later, or reach the person another way."
    case (6, _): return "What to do: send it as plain text; the recipient's host can't take it as it is."
    case (7, _): return "What to do: it was refused by policy; ask the recipient or their postmaster."
    default: return nil
    }
  }

  // MARK: For programs

  /// RFC 3464, 2: fields about the message, then about each recipient.
  private var report: [UInt8] {
    var fields = FieldWriter()
    if let envelopeID { fields.add("Original-Envelope-Id", Self.ascii(envelopeID)) }
    fields.add("Reporting-MTA", "dns; \(hostname)")
    fields.add("Arrival-Date", MailDate(arrival).text)
    for recipient in recipients {
      fields.endGroup()
      if let original = recipient.originalRecipient { fields.add("Original-Recipient", Self.unitext(original)) }
      let type = recipient.address.needsUTF8 ? "utf-8" : "rfc822"
      fields.add("Final-Recipient", "\(type); \(Self.unitext(recipient.address.wire))")
      fields.add("Action", stage == .held ? "delayed" : stage.rawValue)
      fields.add("Status", recipient.status)
      if let host = recipient.remoteHost.flatMap(Self.nameOfHost) { fields.add("Remote-MTA", "dns; \(host)") }
      switch recipient.diagnostic {
      case .smtp(let reply): fields.add("Diagnostic-Code", "smtp; \(Self.ascii(reply))")
      case .own(let reason): fields.add("Diagnostic-Code", "x-martlet; \(Self.ascii(reason))")
      case nil: break
      }
      fields.add("Last-Attempt-Date", MailDate(date).text)
      if stage == .delayed, let retryUntil { fields.add("Will-Retry-Until", MailDate(retryUntil).text) }
    }
    return fields.bytes
  }

  /// A host as RFC 3464, 2.1.2 names it: a domain name, or an address literal (RFC 5321, 4.1.3). A socket's path is neither.
  private static func nameOfHost(_ host: String) -> String? {
    guard host.utf8.first != 0x2F else { return nil }
    guard let address = IPAddress(host) else { return ascii(host) }
    return address.isIPv4 ? "[\(address)]" : "[IPv6:\(address)]"
  }

  /// ASCII as it is, everything else as `\x{HEX}` (RFC 6533, 3, utf-8-addr-unitext in its 7-bit form).
  private static func unitext(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars.prefix(1_000) {
      if scalar.value >= 0x20, scalar.value < 0x7F {
        result.unicodeScalars.append(scalar)
      } else {
        result += "\\x{\(String(scalar.value, radix: 16, uppercase: true))}"
      }
    }
    return result
  }

  /// Without control characters.
  private static func printable(_ text: String) -> String { String.escaped(text.utf8, limit: 2_000) }

  private static func ascii(_ text: String) -> String {
    String(decoding: printable(text).utf8.map { $0 < 0x80 ? $0 : 0x3F }, as: UTF8.self)
  }

  /// Lines of at most 72 code points, broken at spaces where there are some: 200 of them are 800 octets at the most.
  private static func wrapped(_ text: String) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      var word = word
      if !line.isEmpty, line.unicodeScalars.count + 1 + word.unicodeScalars.count > 72 {
        lines.append(line)
        line = ""
      }
      while word.unicodeScalars.count > 200 {
        lines.append(String(word.unicodeScalars.prefix(200)))
        word = Substring(word.unicodeScalars.dropFirst(200))
      }
      line += line.isEmpty ? word : " " + word
    }
    return line.isEmpty ? lines : lines + [line]
  }
}

/// Writes header fields, long ones folded at spaces (RFC 5322, 2.1.1 and 2.2.3), and words that would make a line longer than SMTP carries
/// cut: a host may say 2,000 octets without a space.
struct FieldWriter {
  /// Octets of a word: with a field's name before it a line stays within 998 (RFC 5322, 2.1.1).
  private static let longestWord = 900

  private(set) var bytes: [UInt8] = []

  mutating func add(_ name: String, _ value: String) {
    var line = name + ":"
    for word in value.split(separator: " ", omittingEmptySubsequences: true).flatMap(Self.cut) {
      if line.utf8.count + 1 + word.utf8.count > 78, line.utf8.count > name.utf8.count + 1 {
        bytes += Array((line + "\r\n").utf8)
        line = ""
      }
      line += " " + word
    }
    bytes += Array((line + "\r\n").utf8)
  }

  private static func cut(_ word: Substring) -> [Substring] {
    guard word.utf8.count > longestWord else { return [word] }
    var pieces: [Substring] = []
    var rest = word.unicodeScalars
    // Four octets are the most that a code point has.
    while !rest.isEmpty {
      let count = rest.allSatisfy(\.isASCII) ? longestWord : longestWord / 4
      pieces.append(Substring(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    return pieces
  }

  /// An empty line between groups (RFC 3464, 2.1).
  mutating func endGroup() { bytes += [0x0D, 0x0A] }
}

/// Where a message's header ends.
enum MessageHead {
  /// Octets of the header with its last CRLF, without the empty line; all of it if there is no empty line.
  static func length(of message: [UInt8]) -> Int {
    var index = 0
    while index + 1 < message.count {
      if message[index] == 0x0D, message[index + 1] == 0x0A {
        if index == 0 { return 0 }
        if index + 3 < message.count, message[index + 2] == 0x0D, message[index + 3] == 0x0A { return index + 2 }
      }
      index += 1
    }
    return message.count
  }
}
