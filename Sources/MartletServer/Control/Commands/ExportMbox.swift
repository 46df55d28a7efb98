import Bytes
import MailModel
import MailStore
import Outside

/// `martlet export mbox`: one file of the kind mboxrd.
///
/// Each message begins with `From SENDER DATE` (UTC) and ends with an empty line; lines that begin with `From `, or with `>`s and
/// `From `, get one `>` more; everything else is as FETCH gives it, CRLF included. What mbox has no place for stands in fields in front
/// of the message, where it is needed: `Status` and `X-Status` for flags, `X-Keywords`, `X-Mailbox` for folders other than INBOX.
public struct ExportMbox: AdminCommand {
  public var account: String
  /// One mailbox only; nil for all.
  public var mailbox: String?
  /// Writes to standard output instead of a file.
  public var toOutput: Bool

  public init(account: String, mailbox: String?, toOutput: Bool) {
    self.account = account
    self.mailbox = mailbox
    self.toOutput = toOutput
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let account = try await context.account(self.account)
    let mailboxes = try await ExportSelection.mailboxes(of: account, named: mailbox, context)
    var progress = ExportProgress(mailboxes)
    var damage = ExportDamage()
    if !toOutput { try await context.output.file(.begin(path: "", modified: nil)) }
    for mailbox in mailboxes {
      do throws(AdminFailure) {
        try await context.eachMessage(in: mailbox) { entry throws(AdminFailure) in
          do throws(AdminFailure) {
            try await write(entry, of: mailbox, context)
            progress.done += 1
          } catch {
            try await damage.take(error, of: "\(mailbox.name), message \(entry.uid.rawValue)", context)
          }
          if progress.isDue { try await context.output.progress(progress.report(isLast: false)) }
        }
      } catch {
        try await damage.take(error, of: "\(mailbox.name), as far as not told", context)
      }
    }
    if toOutput { return try damage.check() }
    try await context.output.file(.end)
    try await context.output.progress(progress.report(isLast: true))
    try await context.say("\(progress.done) messages of \(account.address.wire) from \(mailboxes.count) folders")
    try damage.check()
  }

  private func write(_ entry: MailboxEntry, of mailbox: Mailbox, _ context: AdminContext) async throws(AdminFailure) {
    var quoting = MboxQuoting()
    var isBegun = false
    try await context.readWholeMessage(entry) { bytes throws(AdminFailure) in
      if !isBegun { try await write(MboxText.head(entry, mailbox: mailbox.name), context) }
      isBegun = true
      try await write(quoting.take(bytes), context)
    }
    try await write(quoting.finish(), context)
  }

  private func write(_ bytes: [UInt8], _ context: AdminContext) async throws(AdminFailure) {
    guard !bytes.isEmpty else { return }
    if toOutput { try await context.output.write(bytes, to: .output) } else { try await context.output.file(.data(bytes)) }
  }
}

enum MboxText {
  /// The `From ` line, and fields for what it can't say.
  static func head(_ entry: MailboxEntry, mailbox: String) -> [UInt8] {
    var text = "From \(sender(entry)) \(date(entry.internalDate))\n"
    let system = entry.flags.system
    if system.contains(.seen) { text += "Status: RO\r\n" }
    var marks = ""
    if system.contains(.answered) { marks += "A" }
    if system.contains(.flagged) { marks += "F" }
    if system.contains(.draft) { marks += "T" }
    if system.contains(.deleted) { marks += "D" }
    if !marks.isEmpty { text += "X-Status: \(marks)\r\n" }
    if !entry.flags.keywords.isEmpty { text += "X-Keywords: \(entry.flags.keywords.joined(separator: " "))\r\n" }
    if mailbox != "INBOX" { text += "X-Mailbox: \(String.escaped(mailbox.utf8))\r\n" }
    return Array(text.utf8)
  }

  /// The return path without spaces, or `MAILER-DAEMON`.
  private static func sender(_ entry: MailboxEntry) -> String {
    let prefix = String(decoding: entry.deliveryPrefix, as: UTF8.self)
    guard prefix.hasPrefix("Return-Path: <"), let end = prefix.firstIndex(of: ">") else { return "MAILER-DAEMON" }
    let path = prefix[prefix.index(prefix.startIndex, offsetBy: 14)..<end].filter { $0 > " " }
    return path.isEmpty ? "MAILER-DAEMON" : String(path)
  }

  /// `Wed Nov 25 01:02:03 2026`, the form of asctime.
  private static func date(_ time: Timestamp) -> String {
    let text = Array(time.iso8601)
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let day = Int(max(0, time.seconds) / 86_400 % 7)
    guard text.count == 20, let month = Int(String(text[5...6])), (1...12).contains(month) else {
      return "Thu Jan  1 00:00:00 1970"
    }
    let number = text[8] == "0" ? " " + String(text[9]) : String(text[8...9])
    let (clock, year) = (String(text[11...18]), String(text[0...3]))
    return "\(days[day]) \(months[month - 1]) \(number) \(clock) \(year)"
  }
}

/// Puts a `>` before lines that would be taken for the beginning of a message; lines may be cut anywhere between pieces.
struct MboxQuoting {
  private static let from = Array("From ".utf8)
  /// Only `>`s so far, or nothing.
  private var mayBegin = true
  /// How much of `From ` has been seen behind them; held back.
  private var matched = 0
  private var last: UInt8 = 0x0A

  mutating func take(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + 16)
    for byte in bytes {
      take(byte, &result)
      last = byte
    }
    return result
  }

  private mutating func take(_ byte: UInt8, _ result: inout [UInt8]) {
    if mayBegin, byte == Self.from[matched] {
      matched += 1
      guard matched == Self.from.count else { return }
      // One `>` more; it does not matter where among the others it stands.
      result.append(0x3E)
      release(&result)
      mayBegin = false
      return
    }
    if mayBegin, matched > 0 || byte != 0x3E {
      release(&result)
      mayBegin = false
    }
    result.append(byte)
    if byte == 0x0A { mayBegin = true }
  }

  private mutating func release(_ result: inout [UInt8]) {
    result += Self.from.prefix(matched)
    matched = 0
  }

  /// The end of the message: its last line ended if it was not, and the empty line behind it.
  mutating func finish() -> [UInt8] {
    var result: [UInt8] = []
    release(&result)
    result += last == 0x0A ? [0x0A] : [0x0A, 0x0A]
    self = MboxQuoting()
    return result
  }
}
