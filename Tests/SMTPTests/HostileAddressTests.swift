import InternetMessage
import MailModel
import Testing

@testable import SMTP

/// HOSTILE 14, 19 and 20: what stands in commands, as far as the conversation decides it.
@Suite struct HostileAddressTests {
  @Test(
    "HOSTILE 14: NUL, control characters and bytes beyond ASCII in names, addresses and parameters are 501",
    arguments: [
      "EHLO a\0b", "EHLO a\u{7F}", "HELO a\u{1B}[2J", "EHLO bücher.example", "MAIL FROM:<a\0@x>", "MAIL FROM:<\"a\u{1}b\"@x>",
      "MAIL FROM:<a@x\0>",
      "MAIL FROM:<a@x> ENVID=a\0", "MAIL FROM:<a@x> ENVID=a+0D+0ABcc", "MAIL FROM:<a@x> ENVID=é", "MAIL FROM:<a@x> RET=F\u{8}ULL",
      "MAIL FROM:<a@x> AUTH=+00", "VRFY a\0", "MAIL FROM:<a\r@x>", "MAIL FROM:<a@x>\0 SIZE=1",
    ])
  func controlCharacters(line: String) {
    var talk = Talk()
    if !line.hasPrefix("EHLO"), !line.hasPrefix("HELO") { talk.send("EHLO c\r\n") }
    #expect(talk.codes(line) == ["501"])
    #expect(talk.codes("RSET") == ["250"])
  }

  @Test("HOSTILE 14: octets beyond ASCII in an address are 553 5.6.7 without SMTPUTF8, and 501 with it where they are no UTF-8")
  func eightBit() {
    for address: [UInt8] in [[0xFF, 0xFE], [0xC3], [0xED, 0xA0, 0x80]] {
      for (ending, reply) in [("@x>", "5"), ("@x> SMTPUTF8", "501 5.1.7")] {
        var talk = Talk()
        talk.send("EHLO c\r\n")
        #expect(talk.send(Array("MAIL FROM:<".utf8) + address + Array("\(ending)\r\n".utf8)).hasPrefix(reply))
        #expect(talk.codes("MAIL FROM:<é@x>", "MAIL FROM:<é@x> SMTPUTF8") == ["553", "250"])
        #expect(talk.send(Array("RCPT TO:<".utf8) + address + Array("@x>\r\n".utf8)).hasPrefix("501 5.1.3"))
      }
    }
  }

  @Test("HOSTILE 14: ORCPT that decodes to a line break or is none is 501")
  func originalRecipient() {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    for value in ["rfc822", "rfc822;", ";a@x", "rfc822;a+0Ab@x", "rfc822;a+4", "rfc822;a+zz", "rfc822;é@x", "rfc 822;a"] {
      #expect(talk.codes("RCPT TO:<b@x> ORCPT=\(value)") == ["501"], "\(value)")
    }
    #expect(talk.codes("RCPT TO:<b@x> ORCPT=rfc822;a+2Bb@x NOTIFY=SUCCESS,DELAY") == ["250"])
    let wanted = NotificationRequest(notify: [.success, .delay], originalRecipient: "rfc822;a+b@x")
    #expect(
      talk.questions.last == .recipient(SMTPRecipient(address: EmailAddress(localPart: "b", domain: "x"), notification: wanted)))
  }

  @Test(
    "HOSTILE 19: addresses that trick others are parsed as RFC 5321 says, or 501 5.1.3",
    arguments: [
      ("\"\"@x", "", "x"), ("\"a b\"@x", "a b", "x"), ("\"a\\\"b\"@x", "a\"b", "x"), ("@a,@b:c@d", "c", "d"), ("a%b@c", "a%b", "c"),
      ("a!b@c", "a!b", "c"), ("user@[127.0.0.1]", "user", "[127.0.0.1]"), ("Postmaster", "postmaster", ""),
    ])
  func oddAddresses(text: String, local: String, domain: String) {
    var talk = Talk()
    _ = talk.codes("EHLO c", "MAIL FROM:<a@x>")
    #expect(talk.codes("RCPT TO:<\(text)>") == ["250"])
    #expect(talk.questions.last == .recipient(SMTPRecipient(address: EmailAddress(localPart: local, domain: domain))))
  }

  @Test(
    "HOSTILE 19: what is no address is 501 5.1.3, as a sender 501 5.1.7",
    arguments: [
      "<@>", "<a>", "<a@>", "<@x>", "<a@x", "a@x", "<a@@x>", "<a b@x>", "<a@x>>", "<.a@x>", "<a..b@x>", "<\"a@x>",
      "<a@[999.0.0.1]>",
      "<\(String(repeating: "l", count: 65))@x>", "<a@\(String(repeating: "d.", count: 128))x>", "<a@-x>", "<a@x> <b@x>",
    ])
  func noAddresses(text: String) {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    #expect(talk.send("MAIL FROM:\(text)\r\n").hasPrefix("501 5."))
    talk.send("MAIL FROM:<a@x>\r\n")
    #expect(talk.send("RCPT TO:\(text)\r\n").hasPrefix("501 5."))
    #expect(talk.send("RCPT TO:<>\r\n").hasPrefix("501 5.1.3"))
  }

  @Test("HOSTILE 20: shell and template characters are plain data")
  func shellCharacters() throws {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    // The last are a line break as URLs, quoted-printable and C write it.
    for local in ["|/bin/sh", ";id", "${run{x}}", "`id`", "$(id)", "%0d%0aRCPT", "=0D=0Ax", "n"] {
      let quoted = local == "n" ? "\\n" : local
      #expect(talk.codes("MAIL FROM:<\"\(quoted)\"@x>", "RCPT TO:<\"\(quoted)\"@x>", "DATA", ".") == ["250", "250", "354", "250"])
      #expect(try #require(talk.messages.last).message.recipients.first?.address.localPart == local)
    }
  }
}
