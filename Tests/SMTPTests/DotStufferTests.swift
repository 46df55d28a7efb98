import NIOCore
import Testing

@testable import SMTP

@Suite struct DotStufferTests {
  static let vectors: [(String, String)] = [
    ("", ".\r\n"), ("a\r\n", "a\r\n.\r\n"), ("a", "a\r\n.\r\n"), (".\r\n", "..\r\n.\r\n"), (".", "..\r\n.\r\n"),
    ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"), ("..a\r\n..", "...a\r\n...\r\n.\r\n"),
    ("a.b\r\n\r\n.c", "a.b\r\n\r\n..c\r\n.\r\n"),
    ("\r\n", "\r\n.\r\n"),
  ]

  private func stuff(_ pages: [String]) throws -> String {
    var stuffer = DotStuffer()
    var output = ByteBuffer()
    for page in pages { try stuffer.write(ByteBuffer(string: page), to: &output) }
    try stuffer.finish(to: &output)
    return String(buffer: output)
  }

  @Test("dots at line starts are doubled wherever the pages are cut")
  func everyCut() throws {
    for (plain, expected) in Self.vectors {
      let bytes = Array(plain.utf8)
      for first in 0...bytes.count {
        for second in first...bytes.count {
          let pages = [bytes[..<first], bytes[first..<second], bytes[second...]].map { String(decoding: $0, as: UTF8.self) }
          #expect(try stuff(pages) == expected)
        }
      }
    }
  }

  @Test(
    "HOSTILE 2: a bare CR or LF is never written out",
    arguments: [
      "a\nb", "a\rb", "\n.\r\n", "\r\n.\n", "a\r\r\n", "a\r\n\n", "\r", "a\r", "\n", "\r.\r\n", "\n.\n", "a\r\nb\rc\r\n",
    ])
  func bare(_ text: String) {
    for cut in 0...text.utf8.count {
      let bytes = Array(text.utf8)
      let pages = [bytes[..<cut], bytes[cut...]].map { String(decoding: $0, as: UTF8.self) }
      #expect(throws: DotStuffer.BareLineEnding.self) { try stuff(pages) }
    }
  }
}
