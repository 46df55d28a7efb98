import NIOCore
import Testing

@testable import SMTP

@Suite struct ReplyTests {
  static func wire(_ reply: SMTPReply) -> String {
    var buffer = ByteBuffer()
    reply.write(to: &buffer)
    return String(buffer: buffer)
  }

  static func read(_ text: String) throws(SMTPReplyError) -> SMTPReply? {
    var parser = SMTPReplyParser()
    var input = ByteBuffer(string: text)
    return try parser.next(from: &input)
  }

  @Test("a reply is written with its codes on each line (RFC 5321, 4.2.1; RFC 2034, 4)")
  func written() {
    #expect(Self.wire(SMTPReply(250, nil, "OK")) == "250 OK\r\n")
    #expect(
      Self.wire(SMTPReply(550, .init(.permanent, 1, 1), lines: ["No", "such", "user"]))
        == "550-5.1.1 No\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n")
    #expect(Self.wire(SMTPReply(550, .init(.permanent, 7, 999), "")) == "550 5.7.999 \r\n")
    #expect(Self.wire(SMTPReply.done) == "250 2.0.0 OK\r\n")
  }

  @Test("text from outside can't end a line, forge a reply or leave ASCII")
  func cleaned() {
    #expect(Self.wire(SMTPReply(550, nil, "a\r\n250 OK\0\u{1B}[31mé")) == "550 a??250 OK??[31m??\r\n")
    #expect(SMTPReply(550, nil, "a\nb").text == "a?b")
  }

  @Test("a long text goes on in more lines, none over 512 octets, at most 100 of them (RFC 5321, 4.5.3.1.5)")
  func wrapped() throws {
    let words = Array(repeating: "wörd", count: 1_000).joined(separator: " ")
    let reply = SMTPReply(554, .init(.permanent, 999, 999), words)
    #expect(reply.lines.joined(separator: " ") == words)
    for line in Self.wire(reply).split(separator: "\r\n") { #expect(line.utf8.count <= 510) }
    let endless = SMTPReply(554, nil, String(repeating: "x", count: 1_000_000))
    #expect(endless.lines.count == 100)
    for line in Self.wire(endless).split(separator: "\r\n") { #expect(line.utf8.count <= 510) }
    #expect(SMTPReply(554, nil, lines: Array(repeating: "a", count: 1_000)).lines.count == 100)
    #expect(SMTPReply(554, nil, lines: []).lines == [""])
  }

  @Test("a blank early in a line is no place to break it: the rest would be too long again")
  func wrappedAtLimit() {
    for blanks in 0..<4 {
      for length in 480...500 {
        let text =
          String(repeating: " ", count: blanks) + String(repeating: "€", count: length / 3) + String(repeating: "x", count: length)
        let reply = SMTPReply(554, nil, text)
        #expect(reply.lines.allSatisfy { $0.utf8.count <= SMTPReply.maximumLineText })
        #expect(reply.lines.joined() == text)
      }
    }
  }

  @Test("a code that is none never means success", arguments: [0, 99, 199, 600, 65_535] as [UInt16])
  func badCode(code: UInt16) { #expect(SMTPReply(code, nil, "x").code == 451) }

  @Test("replies are read with their codes and lines")
  func parsed() throws {
    #expect(try Self.read("250 OK\r\n") == SMTPReply(250, nil, "OK"))
    #expect(try Self.read("250\r\n") == SMTPReply(250, nil, ""))
    #expect(try Self.read("550 5.1.1 <a@x>: unknown\r\n") == SMTPReply(550, .init(.permanent, 1, 1), "<a@x>: unknown"))
    #expect(
      try Self.read("250-mx.example\r\n250-SIZE 1000\r\n250 8BITMIME\r\n")
        == SMTPReply(250, nil, lines: ["mx.example", "SIZE 1000", "8BITMIME"]))
    #expect(try Self.read("550-5.7.1 a\r\n550 5.7.1 b\r\n") == SMTPReply(550, .init(.permanent, 7, 1), lines: ["a", "b"]))
    // An enhanced code of another class is text (RFC 2034, 4).
    #expect(try Self.read("450 5.1.1 odd\r\n") == SMTPReply(450, nil, "5.1.1 odd"))
    #expect(try Self.read("250 2.0.0\r\n") == SMTPReply(250, .init(.success, 0, 0), ""))
    #expect(try Self.read("250 bare\n") == SMTPReply(250, nil, "bare"))
    #expect(try Self.read("250-one\r\n250") == nil)
    #expect(try Self.read("554 \u{1B}[2J\u{7}\r\n")?.text == "?[2J?")
  }

  @Test("one reply is taken and the next left, however the bytes are cut")
  func segmented() throws {
    let bytes = Array("250-a\r\n250 b\r\n354 go\r\n421-4.3.2 x\r\n421 4.3.2 y\r\n".utf8)
    for cut in 0...bytes.count {
      var parser = SMTPReplyParser()
      var input = ByteBuffer()
      var replies: [SMTPReply] = []
      for part in [bytes[..<cut], bytes[cut...]] {
        input.writeBytes(part)
        while let reply = try parser.next(from: &input) { replies.append(reply) }
      }
      #expect(replies.map(\.code) == [250, 354, 421])
      #expect(!parser.isInReply)
    }
  }

  @Test("HOSTILE 38: broken, disagreeing, endless and overlong replies are errors")
  func hostile() {
    #expect(throws: SMTPReplyError.malformed) { try Self.read("hello\r\n") }
    #expect(throws: SMTPReplyError.malformed) { try Self.read("25\r\n") }
    #expect(throws: SMTPReplyError.malformed) { try Self.read("2500 x\r\n") }
    #expect(throws: SMTPReplyError.malformed) { try Self.read("199 x\r\n") }
    #expect(throws: SMTPReplyError.malformed) { try Self.read("600 x\r\n") }
    #expect(throws: SMTPReplyError.malformed) { try Self.read("\r\n") }
    #expect(throws: SMTPReplyError.codesDisagree(250, 550)) { try Self.read("250-a\r\n550 b\r\n") }
    #expect(throws: SMTPReplyError.tooManyLines) { try Self.read(String(repeating: "250-a\r\n", count: 101)) }
    #expect(throws: SMTPReplyError.tooLong) { try Self.read("250 " + String(repeating: "a", count: 65_536)) }
    #expect(throws: SMTPReplyError.tooLong) {
      try Self.read(String(repeating: "250-" + String(repeating: "a", count: 10_000) + "\r\n", count: 7))
    }
  }

  @Test("an enhanced code is digits in three parts, or none")
  func enhanced() throws {
    #expect(EnhancedStatusCode(.permanent, 1, 10).description == "5.1.10")
    #expect(EnhancedStatusCode(.transient, 1_000, 65_535).description == "4.0.0")
    for text in ["550 3.1.1 x", "550 5.1 x", "550 5.1.1x", "550 5..1 x", "550 5.1.1000 x"] {
      #expect(try Self.read(text + "\r\n")?.enhanced == nil)
    }
  }
}
