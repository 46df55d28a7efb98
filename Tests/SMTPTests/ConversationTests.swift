import InternetMessage
import MailModel
import Outside
import Testing

@testable import SMTP

@Suite struct ConversationTests {
  @Test("a message goes from the greeting to its 250 (RFC 5321, appendix D.1)")
  func plainMessage() throws {
    var talk = Talk()
    #expect(talk.said() == "220 mx.example.test ESMTP Martlet\r\n")
    #expect(talk.send("EHLO bar.com\r\n").hasPrefix("250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n"))
    #expect(talk.send("MAIL FROM:<Smith@bar.com>\r\n") == "250 2.1.0 Sender OK\r\n")
    #expect(talk.codes("RCPT TO:<Jones@foo.com>", "RCPT TO:<unknown@foo.com>", "RCPT TO:<Brown@foo.com>") == ["250", "550", "250"])
    #expect(talk.codes("DATA") == ["354"])
    #expect(talk.send("Blah blah blah...\r\n..etc. etc. etc.\r\n") == "")
    #expect(talk.conversation.holdsBody)
    #expect(talk.send(".\r\n") == "250 2.0.0 stored\r\n")
    #expect(!talk.conversation.holdsBody)
    let message = try #require(talk.messages.first)
    #expect(message.content == "Blah blah blah...\r\n.etc. etc. etc.\r\n")
    #expect(message.message.recipients.map(\.address.localPart) == ["Jones", "Brown"])
    #expect(message.message.outcome.octets == 36)
    #expect(talk.send("QUIT\r\n") == "221 2.0.0 Goodbye\r\n")
    #expect(talk.isClosed)
  }

  @Test("a whole pipelined group is answered in order, the next transaction riding behind the final dot")
  func pipelined() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    #expect(Talk.codes(talk.send("MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nRCPT TO:<unknown@x>\r\nDATA\r\n")) == "250,250,550,354")
    #expect(Talk.codes(talk.send("Hi\r\n.\r\nMAIL FROM:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n")) == "250,250,250,354")
    #expect(Talk.codes(talk.send("Ho\r\n.\r\nQUIT\r\n")) == "250,221")
    #expect(talk.messages.map(\.content) == ["Hi\r\n", "Ho\r\n"])
  }

  @Test("LMTP answers once for each recipient that was accepted, in order, repetitions too (RFC 2033, 4.2)")
  func lmtp() {
    var talk = Talk(.lmtp)
    #expect(talk.said() == "220 mx.example.test LMTP Martlet\r\n")
    #expect(talk.codes("EHLO c", "HELO c", "LHLO c") == ["500", "500", "250"])
    #expect(
      talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<full@x>", "RCPT TO:<unknown@x>") == ["250", "250", "250", "550"])
    #expect(talk.codes("RCPT TO:<b@x>", "DATA") == ["250", "354"])
    #expect(
      talk.send("Hi\r\n.\r\n") == "250 2.0.0 stored\r\n552 5.2.2 Mailbox full\r\n250 2.0.0 stored\r\n")
    #expect(talk.messages.first?.message.recipients.count == 2)
    // A body that is refused is refused for each as well.
    #expect(talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA") == ["250", "250", "250", "354"])
    #expect(Talk.codes(talk.send("a\nb\r\n.\r\n")) == "550,550")
    #expect(talk.isClosed)
  }

  @Test("LMTP: each recipient can be refused by its own reply, and BDAT LAST is answered for each")
  func lmtpChunks() {
    var talk = Talk(.lmtp)
    talk.send("LHLO c\r\n")
    #expect(talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>") == ["250", "250", "250"])
    #expect(Talk.codes(talk.send("BDAT 4\r\nHi\r\nBDAT 4 LAST\r\nHo\r\n")) == "250,250,250")
    #expect(talk.messages.first?.content == "Hi\r\nHo\r\n")
    #expect(talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>") == ["250", "250", "250"])
    #expect(Talk.codes(talk.send("BDAT 9999999999999999 LAST\r\n")) == "552")
    #expect(talk.isClosed)
  }

  @Test("a message accepted without a proof gets 451, a refusal that says 250 becomes 451")
  func noProof() {
    var conversation = SMTPConversation<Stored>(SMTPService(dialect: .smtp, hostname: "h"))
    _ = conversation.start()
    _ = conversation.answer(.accept)
    _ = conversation.handle(.command(.ehlo("c"), isLast: true))
    _ = conversation.handle(.command(.mail(SMTPSender(envelope: Envelope(reversePath: nil))), isLast: true))
    _ = conversation.answer(.accept)
    _ = conversation.handle(.command(.rcpt(SMTPRecipient(address: EmailAddress(localPart: "a", domain: "x"))), isLast: true))
    _ = conversation.answer(.accept)
    _ = conversation.handle(.command(.data, isLast: true))
    guard case .ask(.message) = conversation.received(DataOutcome()) else {
      Issue.record("the message was not asked about")
      return
    }
    guard case .reply(let reply) = conversation.answer(.accept) else {
      Issue.record("no reply")
      return
    }
    #expect(reply.code == 451)
    var talk = Talk()
    #expect(talk.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<wrong@x>") == ["250", "250", "451"])
  }

  @Test("calls out of turn close with 421, and after the close nothing is said")
  func misuse() {
    var conversation = SMTPConversation<Stored>(SMTPService(dialect: .smtp, hostname: "h"))
    guard case .close(let replies) = conversation.answer(.accept), replies.first?.code == 421 else {
      Issue.record("an answer without a question")
      return
    }
    for step in [conversation.start(), conversation.handle(.overlong), conversation.tlsFailed(), conversation.deadlinePassed()] {
      guard case .close(let replies) = step, replies.isEmpty else {
        Issue.record("something was said after the close")
        return
      }
    }
  }

  @Test("what is announced fits what is offered, the security and the peer")
  func capabilities() {
    var clear = Talk()
    let offered = clear.send("EHLO c\r\n")
    for line in [
      "PIPELINING", "SIZE 50000000", "ENHANCEDSTATUSCODES", "HELP", "STARTTLS", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME",
      "DSN",
    ] {
      #expect(offered.contains("-\(line)\r\n"), "\(line)")
    }
    #expect(offered.hasSuffix("250 LIMITS RCPTMAX=1000 MAILMAX=1000\r\n"))
    #expect(!offered.contains("REQUIRETLS") && !offered.contains("XCLIENT") && !offered.contains("AUTH"))
    var secure = Talk(tls: Talk.facts, mayUseXCLIENT: true)
    let overTLS = secure.send("EHLO c\r\n")
    #expect(
      overTLS.contains("-REQUIRETLS\r\n") && !overTLS.contains("STARTTLS")
        && overTLS.contains("XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT\r\n"))
    var plain = Talk(extensions: [], limits: .init())
    #expect(!plain.send("EHLO c\r\n").contains("CHUNKING"))
    #expect(
      plain.codes("MAIL FROM:<a@x> BODY=8BITMIME", "MAIL FROM:<a@x> SMTPUTF8", "MAIL FROM:<a@x> RET=FULL") == ["555", "555", "555"])
    #expect(plain.codes("MAIL FROM:<a@x> REQUIRETLS", "STARTTLS", "BDAT 0 LAST") == ["555", "502", "502"])
    #expect(plain.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x> NOTIFY=NEVER", "RCPT TO:<b@x>") == ["250", "555", "250"])
  }

  @Test("REQUIRETLS is heard over TLS only (RFC 8689)")
  func requireTLS() {
    var clear = Talk()
    #expect(clear.codes("EHLO c", "MAIL FROM:<a@x> REQUIRETLS") == ["250", "530"])
    var secure = Talk(tls: Talk.facts)
    #expect(secure.codes("EHLO c", "MAIL FROM:<a@x> REQUIRETLS", "RCPT TO:<b@x>") == ["250", "250", "250"])
    guard case .recipient = secure.questions.last else {
      Issue.record("the recipient was not asked about")
      return
    }
  }

  @Test("the keyword for Received follows EHLO, TLS and SMTPUTF8 (RFC 3848; RFC 6531, 4.3)")
  func keyword() {
    var talk = Talk()
    #expect(talk.codes("HELO c", "MAIL FROM:<a@x>") == ["250", "250"])
    #expect(talk.conversation.protocolKeyword == "SMTP")
    talk.send("EHLO c\r\n")
    #expect(talk.conversation.protocolKeyword == "ESMTP")
    talk.send("MAIL FROM:<a@x> SMTPUTF8\r\n")
    #expect(talk.conversation.protocolKeyword == "UTF8SMTP")
    var secure = Talk(.lmtp, tls: Talk.facts)
    secure.send("LHLO c\r\n")
    #expect(secure.conversation.protocolKeyword == "LMTPS")
  }

  @Test("an address beyond ASCII needs SMTPUTF8 (RFC 6531, 3.5)")
  func international() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    #expect(talk.codes("MAIL FROM:<jürgen@x>", "MAIL FROM:<a@x>", "RCPT TO:<jürgen@x>") == ["553", "250", "553"])
    #expect(talk.codes("RSET", "MAIL FROM:<jürgen@x> SMTPUTF8", "RCPT TO:<用户@例子.广告>") == ["250", "250", "250"])
  }

  @Test("a refused greeting leaves only QUIT (RFC 5321, 3.1)")
  func unwelcome() {
    var talk = Talk(greeting: .refuse(SMTPReply(554, .init(.permanent, 7, 1), "Go away")))
    #expect(talk.said() == "554 5.7.1 Go away\r\n")
    #expect(talk.codes("EHLO c", "MAIL FROM:<a@x>", "QUIT") == ["503", "503", "221"])
    #expect(talk.isClosed)
    var closed = Talk(greeting: .refuseAndClose(SMTPReply(421, .init(.transient, 7, 0), "Too many connections")))
    #expect(closed.said() == "421 4.7.0 mx.example.test Too many connections\r\n")
    #expect(closed.isClosed)
  }

  @Test("a deadline and a shutdown end the conversation with their 421, a shutdown waits for an answer")
  func endings() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    talk.perform(talk.conversation.deadlinePassed())
    #expect(talk.said() == "421 4.4.2 mx.example.test Waited too long\r\n")
    var other = Talk()
    _ = other.codes("EHLO c", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
    other.perform(other.conversation.shutdown())
    #expect(other.said() == "421 4.3.2 mx.example.test The server is shutting down\r\n")
    #expect(other.isClosed && !other.conversation.holdsBody)
    var asked = SMTPConversation<Stored>(SMTPService(dialect: .smtp, hostname: "h"))
    _ = asked.start()
    guard case .proceed = asked.shutdown(), case .reply = asked.answer(.accept), case .close = asked.shutdown() else {
      Issue.record("the answer was not waited for")
      return
    }
  }

  @Test("a pipelining client whose MAIL is refused is not punished for what it had sent behind it")
  func refusedSenderPipelined() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    let recipients = (0..<100).map { "RCPT TO:<a\($0)@x>\r\n" }.joined()
    let codes = Talk.codes(talk.send("MAIL FROM:<later@x>\r\n" + recipients + "DATA\r\n"))
    #expect(codes == "450" + String(repeating: ",503", count: 101))
    #expect(!talk.isClosed && talk.conversation.badCommands == 0)
  }

  @Test("MAIL beyond the announced MAILMAX closes with 421 (RFC 9422, 4.1)")
  func mailMaximum() {
    var limits = SMTPLimits()
    limits.messages = 2
    var talk = Talk(limits: limits)
    #expect(talk.send("EHLO c\r\n").contains("MAILMAX=2"))
    #expect(
      talk.codes("MAIL FROM:<a@x>", "RSET", "MAIL FROM:<a@x>", "RSET", "MAIL FROM:<a@x>") == ["250", "250", "250", "250", "421"])
    #expect(talk.isClosed)
  }

  @Test("commands that move nothing end at their limit, and a message sets it back")
  func idleCommands() {
    var talk = Talk()
    talk.send("EHLO c\r\n")
    for _ in 0..<100 { talk.send("NOOP\r\n") }
    #expect(!talk.isClosed)
    _ = talk.codes("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA", ".")
    for _ in 0..<100 { #expect(talk.codes("NOOP") == ["250"]) }
    #expect(talk.codes("NOOP") == ["421"])
    #expect(talk.isClosed)
  }

  @Test("LIMITS says only what six digits can say, and nothing if that is nothing (RFC 9422, 4)")
  func limitsAnnounced() {
    var limits = SMTPLimits()
    limits.recipients = .max
    limits.messages = 1_000_000
    var talk = Talk(limits: limits)
    #expect(!talk.send("EHLO c\r\n").contains("LIMITS"))
    limits.messages = 999_999
    var other = Talk(limits: limits)
    #expect(other.send("EHLO c\r\n").contains("LIMITS MAILMAX=999999\r\n"))
  }

  @Test("a trusted client's unknown recipients are neither counted nor delayed")
  func trustedRecipients() {
    var limits = SMTPLimits()
    limits.badRecipients = 2
    var talk = Talk(limits: limits)
    talk.conversation.isTrusted = true
    talk.send("EHLO c\r\n")
    talk.send("MAIL FROM:<a@x>\r\n")
    for number in 0..<20 { #expect(talk.send("RCPT TO:<unknown\(number)@x>\r\n").hasPrefix("550")) }
    #expect(talk.conversation.delay == .zero && talk.conversation.badRecipients == 0)
  }

  @Test("XCLIENT of a trusted peer is asked about and greeted anew; not within a transaction")
  func xclient() {
    var talk = Talk(mayUseXCLIENT: true)
    _ = talk.codes("EHLO proxy")
    #expect(talk.send("XCLIENT NAME=spike.example ADDR=192.0.2.1 PORT=1234 PROTO=ESMTP HELO=[UNAVAILABLE]\r\n").hasPrefix("220 mx"))
    var expected = XCLIENTAttributes()
    expected.name = "spike.example"
    expected.address = IPAddress("192.0.2.1")
    expected.port = 1_234
    expected.isExtended = true
    #expect(talk.questions.last == .xclient(expected))
    #expect(
      talk.codes("MAIL FROM:<a@x>", "EHLO client", "MAIL FROM:<a@x>", "XCLIENT ADDR=IPV6:2001:db8::1") == [
        "503", "250", "250", "503",
      ])
  }
}
