import InternetMessage
import MailModel
import NIOCore
import Outside
import Testing

@testable import SMTP

/// HOSTILE 1 to 13 and 16, as far as the conversation decides them.
@Suite struct HostileTests {
  static func inData(_ limits: SMTPLimits = .init()) -> Talk {
    var talk = Talk(limits: limits)
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
    return talk
  }

  @Test(
    "HOSTILE 1: nothing but CRLF . CRLF ends a body; a bare CR, bare LF or NUL is refused after the real end, and the connection closed",
    arguments: [
      "x\n.\r\n", "x\r\n.\n", "x\n.\n", "x\r.\r", "x\r\n.\r\r\n", "x\r\n.\0\r\n", "x\r\n\n.\r\n", "x\n\r\n.\n\r\n",
      "x\r\n.\rQUIT\r\n", "\n.\r\n",
      "\r.\r\n", "x\r", "\0",
    ])
  func smuggling(sequence: String) {
    var talk = Self.inData()
    let smuggled = sequence + "MAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\nDATA\r\nSubject: smuggled\r\n"
    #expect(talk.send(smuggled) == "", "taken for the end")
    #expect(talk.send("\r\n.\r\nNOOP\r\n").hasPrefix("550 5.6.11 "))
    #expect(talk.isClosed)
    #expect(talk.messages.isEmpty)
    #expect(talk.inputs == 4)
  }

  @Test("HOSTILE 1: in a chunk the same bytes are refused, but the chunk ends where it was announced to end")
  func smugglingInChunks() {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("BDAT 6 LAST\r\nx\n.\r\nyNOOP\r\n")) == "550,250")
    #expect(!talk.isClosed && talk.messages.isEmpty)
    // A CR at the end of one chunk and the LF at the beginning of the next are a line ending.
    _ = talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("BDAT 2\r\nx\rBDAT 1 LAST\r\n\n")) == "250,250")
    #expect(talk.messages.first?.content == "x\r\n")
    _ = talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("BDAT 2 LAST\r\nx\r")) == "550")
    // Binary may hold anything (RFC 3030, 3).
    _ = talk.codes("MAIL FROM:<a@x> BODY=BINARYMIME", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("BDAT 8 LAST\r\nx\n.\r\n\0\r.")) == "250")
    #expect(talk.messages.last?.content == "x\n.\r\n\0\r.")
  }

  @Test(
    "HOSTILE 3: a chunk whose size can't be read closes the connection, whatever follows",
    arguments: [
      "BDAT", "BDAT -1", "BDAT 18446744073709551616", "BDAT 99999999999999999999999", "BDAT 1 FIRST", "BDAT x LAST", "BDAT 1LAST",
      "BDAT 1 LAST x",
      "BDAT 0x10", "BDAT 1\0", "BDAT 1 LASTLAST",
    ])
  func badChunk(command: String) {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(talk.send(command + "\r\nRSET\r\nNOOP\r\n") == "501 5.5.4 Chunk of unknown size\r\n")
    #expect(talk.isClosed)
  }

  @Test("HOSTILE 3: BDAT out of order is refused after exactly the announced bytes; beyond any message it closes")
  func chunkOutOfOrder() {
    var talk = Talk()
    #expect(Talk.codes(talk.send("BDAT 6\r\nRSET\r\nNOOP\r\n")) == "503,250")
    talk.send("EHLO c\r\n")
    #expect(Talk.codes(talk.send("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")) == "503,250")
    #expect(Talk.codes(talk.send("MAIL FROM:<a@x>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")) == "250,554,250")
    _ = talk.codes("RSET", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("BDAT 3\r\nx\r\nDATA\r\nMAIL FROM:<c@x>\r\nRCPT TO:<c@x>\r\n")) == "250,503,503,503")
    // BDAT 0 LAST is the end (RFC 3030, 2).
    #expect(Talk.codes(talk.send("BDAT 0 LAST\r\n")) == "250")
    #expect(talk.messages.first?.content == "x\r\n")
    #expect(Talk.codes(talk.send("BDAT 18446744073709551615\r\n")) == "503")
    #expect(talk.isClosed)
  }

  @Test("HOSTILE 3: RSET between chunks drops them; a message without LAST is never stored")
  func chunksWithoutLast() {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    talk.send("BDAT 3\r\nx\r\n")
    #expect(talk.conversation.holdsBody)
    #expect(talk.codes("RSET") == ["250"])
    #expect(!talk.conversation.holdsBody)
    #expect(talk.codes("BDAT 0 LAST", "QUIT") == ["503", "221"])
    #expect(talk.messages.isEmpty)
  }

  @Test("HOSTILE 4: a line over 2,048 octets gets 500 5.5.2 there, and beyond 64 KiB 421")
  func longLine() {
    var talk = Talk()
    #expect(talk.send([UInt8](repeating: 0x41, count: 2_047)) == "")
    #expect(talk.send("A") == "500 5.5.2 Line too long\r\n")
    #expect(talk.send([UInt8](repeating: 0x41, count: 50_000)) == "")
    #expect(talk.codes("", "NOOP") == ["", "250"])
    // Exactly the limit, with its CRLF, is a line.
    #expect(Talk.codes(talk.send("NOOP " + String(repeating: "x", count: 2_041) + "\r\n")) == "250")
    #expect(Talk.codes(talk.send("NOOP " + String(repeating: "x", count: 2_042) + "\r\n")) == "500")
    #expect(Talk.codes(talk.send([UInt8](repeating: 0x41, count: 1_000_000))) == "500,421")
    #expect(talk.isClosed)
  }

  @Test("HOSTILE 4: an AUTH line may have 12,288 octets")
  func longAuthentication() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    #expect(talk.codes("AUTH PLAIN " + String(repeating: "A", count: 12_275)) == ["502"])
    #expect(talk.codes("auth plain " + String(repeating: "A", count: 12_276)) == ["500"])
    #expect(talk.codes("NOOP") == ["250"])
  }

  @Test("HOSTILE 5: what stands behind STARTTLS is not carried out; the connection closes")
  func startTLSInjection() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    #expect(Talk.codes(talk.send("STARTTLS\r\nMAIL FROM:<evil@x>\r\n")) == "554")
    #expect(talk.isClosed && talk.inputs == 2 && talk.handshakes == 0)
    // The session finds bytes only after the 220 was decided.
    var conversation = talk.conversation
    guard case .close(let replies) = conversation.tlsFailed(), replies.isEmpty else {
      Issue.record("not closed")
      return
    }
  }

  @Test("HOSTILE 6: after TLS everything begins anew; STARTTLS twice, AUTH early and a forgotten EHLO get 503")
  func startTLS() {
    var talk = Talk()
    #expect(talk.codes("STARTTLS", "AUTH PLAIN") == ["503", "503"])
    #expect(
      talk.codes("EHLO c", "MAIL FROM:<a@x>", "STARTTLS", "RSET", "STARTTLS now", "STARTTLS") == [
        "250", "250", "503", "250", "501", "220",
      ])
    #expect(talk.handshakes == 1 && talk.conversation.tls == Talk.facts)
    #expect(talk.conversation.clientName == nil)
    #expect(talk.codes("MAIL FROM:<a@x>", "STARTTLS", "AUTH PLAIN") == ["503", "503", "503"])
    let offered = talk.send("EHLO c\r\n")
    #expect(offered.contains("REQUIRETLS") && !offered.contains("STARTTLS"))
    #expect(talk.codes("STARTTLS", "AUTH PLAIN", "RCPT TO:<b@x>") == ["503", "502", "503"])
  }

  @Test("HOSTILE 7: talk before the greeting, and pipelining behind EHLO or DATA, is 554 5.5.1 and the end")
  func earlyTalk() {
    var early = SMTPConversation<Stored>(SMTPService(dialect: .smtp, hostname: "h"))
    _ = early.start()
    guard case .close(let replies) = early.earlyTalk(nil) else {
      Issue.record("not closed")
      return
    }
    #expect(replies.map(\.code) == [554] && replies.first?.enhanced == EnhancedStatusCode(.permanent, 5, 1))
    #expect(early.badCommands == 1)
    for group in ["EHLO c\r\nMAIL FROM:<a@x>\r\n", "HELO c\r\nQUIT\r\n"] {
      var talk = Talk()
      #expect(talk.send(group) == "554 5.5.1 Nothing may follow before this reply\r\n")
      #expect(talk.isClosed && talk.conversation.badCommands == 1)
    }
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(talk.send("DATA\r\nHi\r\n.\r\n")) == "554")
    #expect(talk.isClosed && talk.messages.isEmpty)
  }

  @Test(
    "HOSTILE 8: HTTP, TLS and SSH get 521 within one line",
    arguments: [
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /x HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "get / HTTP/1.0\n", "\u{16}\u{3}\u{1}",
      "SSH-2.0-OpenSSH_9.2\r\n", "CONNECT mx:25 HTTP/1.1\r\n",
    ])
  func otherProtocols(text: String) {
    var talk = Talk()
    #expect(talk.send(text + "QUIT\r\nMAIL FROM:<a@x>\r\n").hasPrefix("521 "))
    #expect(talk.isClosed && talk.inputs == 1)
    var later = Talk()
    later.send("EHLO c\r\n")
    #expect(later.send(text).hasPrefix("521 "))
  }

  @Test("HOSTILE 9: one byte at a time is read as one line; no more than it is kept")
  func slowDrip() {
    var talk = Talk()
    for byte in "EHLO c\r".utf8 { #expect(talk.send([byte]) == "") }
    #expect(talk.send("\n").hasPrefix("250"))
    #expect(talk.input.readableBytes == 0)
  }

  @Test("HOSTILE 11: beyond 1,000 recipients 452 4.5.3; the overshoot ends in 421; duplicates are stored once")
  func manyRecipients() throws {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    for number in 0..<500 { #expect(talk.codes("RCPT TO:<a\(number)@x>") == ["250"]) }
    for _ in 0..<500 { #expect(talk.codes("RCPT TO:<a7@x>") == ["250"]) }
    #expect(talk.questions.count == 502)
    #expect(talk.send("RCPT TO:<b@x>\r\n") == "452 4.5.3 Too many recipients\r\n")
    for _ in 0..<999 { talk.send("RCPT TO:<b@x>\r\n") }
    #expect(talk.conversation.badCommands == 0)
    var copy = talk
    for _ in 0..<20 { #expect(copy.codes("RCPT TO:<b@x>") == ["452"]) }
    #expect(copy.codes("RCPT TO:<b@x>") == ["421"])
    #expect(talk.codes("DATA", ".") == ["354", "250"])
    #expect(try #require(talk.messages.first).message.recipients.count == 500)
  }

  @Test("HOSTILE 11: of 100,000 RCPT in one stream the first 1,000 are taken, then 452, then 421 and the end")
  func endlessRecipients() {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    let codes = Talk.codes(talk.send((0..<100_000).map { "RCPT TO:<a\($0)@x>\r\n" }.joined())).split(separator: ",")
    #expect(codes.prefix(1_000).allSatisfy { $0 == "250" })
    #expect(codes.dropFirst(1_000).dropLast().allSatisfy { $0 == "452" } && codes.last == "421" && codes.count < 2_100)
    #expect(talk.isClosed && talk.inputs < 2_200)
  }

  @Test("HOSTILE 11: the same address 1,000 times is 1,000 times 250 and one recipient")
  func sameRecipient() throws {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    let codes = Talk.codes(talk.send(String(repeating: "RCPT TO:<a@x>\r\n", count: 1_000))).split(separator: ",")
    #expect(codes.count == 1_000 && codes.allSatisfy { $0 == "250" })
    #expect(talk.codes("DATA", ".") == ["354", "250"])
    #expect(try #require(talk.messages.first).message.recipients.count == 1)
  }

  @Test("a list that is too long beside the others gets 452 4.5.3, is no bad recipient, and its repetition ends in 421")
  func manyTargets() throws {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<a@x>")
    #expect(talk.send("RCPT TO:<many@x>\r\n") == "452 4.5.3 Too many recipients\r\n")
    #expect(talk.conversation.badRecipients == 0 && talk.codes("RCPT TO:<b@x>") == ["250"])
    var copy = talk
    for _ in 0..<1_019 { #expect(copy.codes("RCPT TO:<many@x>") == ["452"]) }
    #expect(copy.codes("RCPT TO:<many@x>") == ["421"])
    #expect(talk.codes("DATA", ".") == ["354", "250"])
    #expect(try #require(talk.messages.first).message.recipients.map(\.address.localPart) == ["a", "b"])
    // To other questions it is no answer.
    #expect(talk.codes("MAIL FROM:<many@x>") == ["451"])
  }

  @Test("HOSTILE 11: a harvest of addresses is slowed after 5 and cut after 20")
  func harvest() {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    for number in 1...20 {
      #expect(talk.codes("RCPT TO:<unknown\(number)@x>") == ["550"])
      #expect(talk.conversation.delay == (number > 5 ? .seconds(1) : .zero))
    }
    #expect(talk.codes("NOOP") == ["250"])
    #expect(talk.conversation.delay == .zero)
    #expect(talk.codes("RCPT TO:<unknown@x>") == ["421"])
    #expect(talk.isClosed)
    // Transient refusals (greylisting, a full queue) are no harvest.
    var patient = Talk()
    _ = patient.codes("EHLO c", "MAIL FROM:<a@x>")
    for _ in 0..<100 { patient.send("RCPT TO:<later@x>\r\n") }
    #expect(!patient.isClosed && patient.conversation.badRecipients == 0)
  }

  @Test("HOSTILE 12: an announced size beyond the limit, up to 2^63 and more, is 552 5.3.4 at MAIL")
  func announcedSize() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    for size in ["50000001", "9223372036854775808", "18446744073709551616", "99999999999999999999"] {
      #expect(talk.send("MAIL FROM:<a@x> SIZE=\(size)\r\n") == "552 5.3.4 Message too large\r\n")
    }
    #expect(
      talk.codes("MAIL FROM:<a@x> SIZE=999999999999999999999", "MAIL FROM:<a@x> SIZE=-1", "MAIL FROM:<a@x> SIZE=") == [
        "501", "501", "501",
      ])
    #expect(talk.codes("MAIL FROM:<a@x> SIZE=50000000") == ["250"])
  }

  @Test("HOSTILE 12: a body that grows beyond the limit is read to its end and refused, beyond the overrun the connection ends")
  func grownSize() {
    var limits = SMTPLimits()
    limits.messageSize = 1_000
    limits.overrun = 1_000
    var talk = Self.inData(limits)
    talk.send(String(repeating: "x\r\n", count: 334))
    #expect(talk.content.readableBytes <= 1_000)
    #expect(talk.send(".\r\nNOOP\r\n") == "552 5.3.4 Message too large\r\n250 2.0.0 OK\r\n")
    var flood = Self.inData(limits)
    #expect(flood.send(String(repeating: "x\r\n", count: 667)) == "552 5.3.4 Message too large\r\n")
    #expect(flood.isClosed)
    var chunks = Talk(limits: limits)
    _ = chunks.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
    #expect(Talk.codes(chunks.send("BDAT 999\r\n" + String(repeating: "x\r\n", count: 333))) == "250")
    #expect(Talk.codes(chunks.send("BDAT 2 LAST\r\n\r\nNOOP\r\n")) == "552,250")
    #expect(chunks.messages.isEmpty)
    // What was announced is not believed either way.
    var small = Talk(limits: limits)
    _ = small.codes("EHLO c", "MAIL FROM:<a@x> SIZE=10", "RCPT TO:<b@x>", "DATA")
    small.send(String(repeating: "x\r\n", count: 334))
    #expect(small.send(".\r\n") == "552 5.3.4 Message too large\r\n" && small.messages.isEmpty)
    var exact = Self.inData(limits)
    #expect(exact.codes(String(repeating: "x", count: 996), ".") == ["", "250"])
  }

  @Test(
    "HOSTILE 13: XCLIENT and PROXY from who may not: closed without a word",
    arguments: [
      "XCLIENT ADDR=192.0.2.1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{C}",
      "PROXY UNKNOWN\n", "PROXY TCP4 " + String(repeating: "9", count: 65_536) + "\r\n",
    ])
  func untrusted(text: String) {
    var talk = Talk()
    _ = talk.said()
    #expect(talk.send(text + "QUIT\r\n") == "")
    #expect(talk.isClosed)
    var early = Talk()
    _ = early.said()
    if let other = ProtocolGuess.foreign(in: ByteBuffer(string: text)), other == .proxy {
      early.perform(early.conversation.earlyTalk(other))
      #expect(early.said() == "")
    }
  }

  @Test("HOSTILE 16: the session is given all it needs: null path, DSN requests of each recipient")
  func nullPath() throws {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<> RET=HDRS ENVID=QQ314159")
    for number in 0..<100 { #expect(talk.codes("RCPT TO:<a\(number)@x> NOTIFY=SUCCESS,FAILURE,DELAY") == ["250"]) }
    #expect(talk.codes("DATA", ".") == ["354", "250"])
    let message = try #require(talk.messages.first).message
    #expect(message.sender.envelope == Envelope(reversePath: nil, return: .headers, envelopeID: "QQ314159"))
    #expect(message.recipients.allSatisfy { $0.notification.notify == [.success, .failure, .delay] })
  }

  @Test("errors end at their budget of 20")
  func errorBudget() {
    var talk = Talk()
    for _ in 0..<20 { #expect(talk.codes("FOO") == ["500"]) }
    #expect(talk.codes("BAR") == ["421"])
    #expect(talk.isClosed)
  }

  @Test("a command that ends with a bare LF is not carried out")
  func bareLineFeed() {
    var talk = Talk()
    #expect(talk.send("EHLO c\nNOOP\r\n") == "500 5.5.2 Lines end with CR and LF\r\n250 2.0.0 OK\r\n")
    #expect(talk.send("BDAT 5\nhello").hasPrefix("501"))
    #expect(talk.isClosed)
  }
}
