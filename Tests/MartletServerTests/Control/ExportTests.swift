import MailModel
import NIOCore
import Outside
import Testing

@testable import MartletServer

struct ExportTests {
  private func quoted(_ text: String, pieces: Int) -> String {
    var quoting = MboxQuoting()
    var result: [UInt8] = []
    let bytes = Array(text.utf8)
    var start = 0
    while start < bytes.count {
      let end = min(start + pieces, bytes.count)
      result += quoting.take(Array(bytes[start..<end]))
      start = end
    }
    result += quoting.finish()
    return String(decoding: result, as: UTF8.self)
  }

  @Test(
    "lines that would begin a message are quoted, wherever they are cut",
    arguments: [
      ("From here\r\n", ">From here\r\n\n"), (">From here\r\n", ">>From here\r\n\n"),
      (">>>From x\nFrom y\n", ">>>>From x\n>From y\n\n"),
      ("Fro\nFrom\r\nFrom\n", "Fro\nFrom\r\nFrom\n\n"), ("a\r\n\r\nFrom ", "a\r\n\r\n>From \n\n"), ("", "\n"),
      ("no end", "no end\n\n"),
      ("> From x\n", "> From x\n\n"), ("FFrom x\n", "FFrom x\n\n"), ("F", "F\n\n"), (">>", ">>\n\n"), ("from x\n", "from x\n\n"),
      ("x From y\n", "x From y\n\n"), (">>F>From x\n", ">>F>From x\n\n"),
    ])
  func quoting(text: String, expected: String) {
    for pieces in 1...7 { #expect(quoted(text, pieces: pieces) == expected) }
  }

  @Test("taking one > away from each quoted line gives the message back")
  func reversible() {
    let text = (0..<200).map { String(repeating: ">", count: $0) + "From \($0)\r\n" }.joined() + "F\r\nFrom\r\nFrom"
    // Octet by octet: to a `Character`, CR and LF are one.
    let lines = quoted(text, pieces: 11).utf8.dropLast(2).split(separator: 0x0A, omittingEmptySubsequences: false)
    let back = lines.map { line in line.drop { $0 == 0x3E }.starts(with: "From ".utf8) ? line.dropFirst() : line }
    #expect(back.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n") == text)
  }

  @Test(
    "folders",
    arguments: [
      ("INBOX", "", ""), ("Sent", ".Sent/", "Sent/"), ("Archive/2026", ".Archive.2026/", "Archive/2026/"),
      ("a.b", ".a&AC4-b/", "a&AC4-b/"),
      ("Tom & Jerry", ".Tom &- Jerry/", "Tom &- Jerry/"), ("Entw\u{FC}rfe", ".Entw&APw-rfe/", "Entw&APw-rfe/"),
      ("\u{53F0}\u{5317}/cur", ".&U,BTFw-.cur/", "&U,BTFw-/&AGMAdQBy-/"), ("..", ".&AC4ALg-/", "&AC4ALg-/"),
      ("x\ny", ".x&AAo-y/", "x&AAo-y/"),
    ])
  func folders(name: String, plusPlus: String, nested: String) {
    #expect(MaildirNames.folder(name, .maildirPlusPlus) == plusPlus)
    #expect(MaildirNames.folder(name, .nested) == nested)
  }

  static func entry(_ flags: Flags, uid: UInt32 = 7, prefix: String = "Return-Path: <a@b.test>\r\n") -> MailboxEntry {
    MailboxEntry(
      mailbox: MailboxID(rawValue: 1), uid: UID(rawValue: uid), modSeq: ModSeq(rawValue: 1), flags: flags,
      internalDate: Timestamp(seconds: 1_764_032_589), savedDate: Timestamp(seconds: 0), size: 120, emailID: 1, threadID: 1,
      body: BodyID(rawValue: 1), deliveryPrefix: Array(prefix.utf8), summary: MessageSummary())
  }

  @Test("names carry flags and keywords, and letters run out after 26 keywords")
  func names() {
    let mailbox = Mailbox(
      id: MailboxID(rawValue: 1), account: AccountID(rawValue: 1), name: "INBOX", uidValidity: UIDValidity(rawValue: 12),
      uidNext: UID(rawValue: 8),
      highestModSeq: ModSeq(rawValue: 1), messages: 1, unseen: 0, deleted: 0, size: 120)
    var letters = KeywordLetters()
    #expect(
      MaildirNames.file(
        Self.entry(Flags([.seen, .flagged, .draft], keywords: ["$Junk", "x"])), in: mailbox, host: "mx.test", letters: &letters)
        == "1764032589.V12U7.mx.test,S=120:2,DFSab")
    #expect(
      MaildirNames.file(Self.entry(Flags(keywords: ["X"])), in: mailbox, host: "mx.test", letters: &letters).hasSuffix(":2,b"))
    for number in 0..<30 { _ = letters.letter(for: "k\(number)") }
    #expect(letters.names.count == 26)
    #expect(letters.unnamed == Set((24..<30).map { "k\($0)" }))
  }

  @Test("what mbox has no place for stands in fields, and only where it is needed")
  func mboxHead() {
    let plain = String(decoding: MboxText.head(Self.entry(Flags()), mailbox: "INBOX"), as: UTF8.self)
    #expect(plain == "From a@b.test Tue Nov 25 01:03:09 2025\n")
    let full = MboxText.head(
      Self.entry(Flags([.seen, .answered, .flagged], keywords: ["$Junk"]), prefix: "Return-Path: <>\r\n"), mailbox: "Sent")
    #expect(
      String(decoding: full, as: UTF8.self)
        == "From MAILER-DAEMON Tue Nov 25 01:03:09 2025\nStatus: RO\r\nX-Status: AF\r\nX-Keywords: $Junk\r\nX-Mailbox: Sent\r\n")
  }
}
