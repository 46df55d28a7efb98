import Bytes
import InternetMessage
import Testing

@Suite struct SevenBitDowngradeTests {
  static func convert(_ text: String) throws(SevenBitDowngrade.Refusal) -> String {
    string(try SevenBitDowngrade.convert(Array(text.replacing("\n", with: "\r\n").utf8))).replacing("\r\n", with: "\n")
  }

  @Test("a message of 7 bits stays as it is") func plain() throws {
    let text = "Subject: x\n\nbody\n"
    #expect(try Self.convert(text) == text)
  }

  @Test("8-bit text becomes quoted-printable, and the header says so once") func text() throws {
    #expect(
      try Self.convert(
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding:\n 8bit\nSubject: x\n\nGrüße=\n")
        == "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nSubject: x\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe=3D\n"
    )
  }

  @Test("8-bit text without MIME gets MIME") func noMIME() throws {
    #expect(
      try Self.convert("Subject: x\n\né\n")
        == "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n"
    )
    let latin = try SevenBitDowngrade.convert(Array("Subject: x\r\n\r\n".utf8) + [0xE9, 0x0D, 0x0A])
    #expect(string(latin).contains("charset=unknown-8bit"))
  }

  static let parts = """
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary=b
    Content-Transfer-Encoding: 8bit

    --b
    Content-Type: text/plain; charset=utf-8

    é
    --b
    Content-Type: image/x
    Content-Transfer-Encoding: binary

    éàü
    --b
    Content-Type: message/rfc822
    Content-Transfer-Encoding: 8bit

    Subject: inner
    MIME-Version: 1.0
    Content-Type: text/plain; charset=utf-8

    ü
    --b
    Content-Type: text/plain

    plain
    --b--

    """

  @Test("octets beyond ASCII in the message's own header stay, and its body is encoded") func eightBitHeader() throws {
    #expect(try Self.convert("Subject: é\n\nx\n") == "Subject: é\n\nx\n")
    #expect(try Self.convert("Subject: é\n\nü\n").hasPrefix("Subject: é\nMIME-Version: 1.0\n"))
    #expect(throws: SevenBitDowngrade.Refusal.outsideParts) { try Self.convert("Subject: \0\n\nü\n") }
  }

  @Test("binary with long runs becomes base 64, and decodes to the same octets") func longRuns() throws {
    let body = [UInt8](repeating: 0, count: 5_000) + [0x0A, 0x0D] + [UInt8](repeating: 0xFF, count: 5_000)
    let head = Array("MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n".utf8)
    let result = try SevenBitDowngrade.convert(head + body)
    #expect(!observe(result).census.isBinary && observe(result).census.longestLine <= 76)
    #expect(Self.decoded(result) == Self.decoded(head + body))
  }

  @Test("each part is encoded by its kind, and what is inside decodes to the same octets") func multipart() throws {
    let result = try Self.convert(Self.parts)
    #expect(result.utf8.allSatisfy { $0 < 0x80 })
    #expect(!result.contains("8bit") && !result.contains("binary"))
    let before = Array(Self.parts.replacing("\n", with: "\r\n").utf8)
    let after = Array(result.replacing("\n", with: "\r\n").utf8)
    #expect(Self.decoded(before) == Self.decoded(after))
    #expect(observe(after).parts.map(\.encoding) == [.sevenBit, .quotedPrintable, .base64, .sevenBit, .quotedPrintable, .sevenBit])
    #expect(observe(after).ambiguities == [])
  }

  static func decoded(_ message: [UInt8]) -> [[UInt8]] {
    observe(message).parts.filter { $0.kind == .text || $0.kind == .leaf }.map { part in
      let body = message[part.bodyStart..<part.bodyEnd]
      var output: [UInt8] = []
      switch part.encoding {
      case .base64:
        var decoder = Base64Decoder()
        decoder.decode(body, into: &output)
      case .quotedPrintable:
        var decoder = QuotedPrintableDecoder()
        decoder.decode(body, into: &output)
        decoder.finish(into: &output)
      default: output = Array(body)
      }
      return output
    }
  }

  @Test(
    "what can't be done faithfully is refused",
    arguments: [
      (
        "Content-Type: multipart/signed; boundary=b\n\n--b\n\né\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n",
        SevenBitDowngrade.Refusal.signed
      ),
      ("Content-Type: multipart/mixed; boundary=b\n\né\n--b\n\nx\n--b--\n", .outsideParts),
      ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\né\n", .outsideParts),
      ("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: é\n\nx\n--b--\n", .outsideParts),
      ("Content-Type: multipart/mixed\n\né\n", .opaque), ("Content-Type: message/partial\n\né\n", .opaque),
      ("Content-Transfer-Encoding: base64\n\né\n", .alreadyEncoded),
    ])
  func refused(text: String, reason: SevenBitDowngrade.Refusal) {
    #expect(throws: reason) { try Self.convert(text) }
  }

  @Test("a signed part of 7 bits does not keep others from being encoded") func signedBeside() throws {
    let signed = "--s\n\nx\n--s\nContent-Type: application/pgp-signature\n\ny\n--s--\n"
    let text =
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=s\n\n\(signed)--b\n\né\n--b--\n"
    #expect(try Self.convert(text).contains(signed))
  }

  @Test("binary content, long lines and lone line ends are encoded") func binary() throws {
    for body in ["a\0b", "a\rb", "a\nb", String(repeating: "x", count: 1_200)] {
      let message = Array("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n\(body)\r\n".utf8)
      let result = try SevenBitDowngrade.convert(message)
      #expect(!observe(result).census.isBinary)
      #expect(Self.decoded(result) == Self.decoded(message))
    }
  }
}
