import InternetMessage
import MailModel
import NIOCore
import Testing

@testable import SMTP

@Suite struct ClientPlanTests {
  private func refusal(_ transaction: SMTPClientTransaction, offering keywords: [String]) -> String? {
    let talk = ClientTalk(offering: keywords)
    if case .refuse(let failure) = talk.client.plan(for: transaction) { return failure.reason }
    return nil
  }

  @Test("a message over the host's SIZE is refused before it is sent")
  func size() {
    #expect(refusal(.sample(size: 101), offering: ["SIZE 100"])?.hasPrefix("552 5.3.4") == true)
    #expect(refusal(.sample(size: 100), offering: ["SIZE 100"]) == nil)
    #expect(refusal(.sample(size: 101), offering: ["SIZE 0"]) == nil)
    var talk = ClientTalk(offering: ["SIZE 100"])
    talk.client.start(.sample(size: 100))
    #expect(talk.taken() == "MAIL FROM:<a@client.test> SIZE=100\r\n")
  }

  @Test("8-bit needs 8BITMIME, or another encoding")
  func eightBit() {
    let census = BodyCensus(hasEightBitBody: true)
    var talk = ClientTalk(offering: ["8BITMIME"])
    talk.client.start(.sample(census: census))
    #expect(talk.taken() == "MAIL FROM:<a@client.test> BODY=8BITMIME\r\n")
    talk = ClientTalk(offering: [])
    #expect(talk.client.plan(for: .sample(census: census)) == .needsSevenBit)
    talk.client.start(.sample(census: census))
    #expect(talk.result()?.recipients.map(\.isPermanent) == [true])
    #expect(talk.taken() == "")
  }

  @Test("binary needs BINARYMIME with CHUNKING; long lines alone do not")
  func binary() {
    let census = BodyCensus(isBinary: true, longestLine: 80)
    #expect(ClientTalk(offering: ["8BITMIME", "CHUNKING"]).client.plan(for: .sample(census: census)) == .needsSevenBit)
    #expect(ClientTalk(offering: ["BINARYMIME"]).client.plan(for: .sample(census: census)) == .needsSevenBit)
    var talk = ClientTalk(offering: ["BINARYMIME", "CHUNKING"])
    talk.client.start(.sample(census: census))
    #expect(talk.taken() == "MAIL FROM:<a@client.test> BODY=BINARYMIME\r\n")
    talk.reply(250)
    talk.reply(250)
    #expect(talk.step() == .sendBody(id: 1, .chunk))
    guard
      case .send(let terms) = ClientTalk(offering: []).client.plan(
        for: .sample(census: BodyCensus(longestLine: 1_200)))
    else { return #expect(Bool(false)) }
    #expect(terms.framing == .dotted && terms.bodyType == .sevenBit)
    let both = BodyCensus(hasEightBitBody: true, isBinary: true, longestLine: 100_000)
    #expect(ClientTalk(offering: ["8BITMIME", "CHUNKING"]).client.plan(for: .sample(census: both)) == .needsSevenBit)
    talk = ClientTalk(offering: ["BINARYMIME", "CHUNKING"])
    talk.client.start(.sample(census: both))
    #expect(talk.taken() == "MAIL FROM:<a@client.test> BODY=BINARYMIME\r\n")
  }

  @Test("a header is international only where its sender said so and it is UTF-8; any other goes on as it came")
  func eightBitHeader() {
    var envelope = Envelope(reversePath: nil)
    let raw = BodyCensus(hasEightBitHeader: true)
    let latin = BodyCensus(hasEightBitHeader: true, hasForeignHeader: true)
    for declared in [false, true] {
      envelope.isInternationalized = declared
      for census in declared ? [latin] : [raw, latin] {
        for (keywords, parameters) in [([], ""), (["8BITMIME"], " BODY=8BITMIME"), (["8BITMIME", "SMTPUTF8"], " BODY=8BITMIME")] {
          var talk = ClientTalk(offering: keywords)
          talk.client.start(.sample(census: census, envelope: envelope))
          #expect(talk.taken() == "MAIL FROM:<>\(parameters)\r\n")
        }
      }
    }
    var talk = ClientTalk(offering: ["8BITMIME", "SMTPUTF8"])
    talk.client.start(.sample(census: raw, envelope: envelope))
    #expect(talk.taken() == "MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\n")
  }

  @Test("an international address needs SMTPUTF8; a domain alone goes as A-labels; a header in UTF-8 does not go")
  func international() {
    #expect(refusal(.sample(to: ["jürgen@s.test"]), offering: ["8BITMIME"])?.hasPrefix("550 5.6.7") == true)
    var envelope = Envelope(reversePath: nil)
    envelope.isInternationalized = true
    let header = SMTPClientTransaction.sample(census: BodyCensus(hasEightBitHeader: true), envelope: envelope)
    #expect(refusal(header, offering: ["8BITMIME"])?.hasPrefix("550 5.6.9") == true)
    var talk = ClientTalk(offering: [])
    talk.client.start(.sample(to: ["b@bücher.test"]))
    talk.reply(250)
    #expect(talk.taken().hasSuffix("RCPT TO:<b@xn--bcher-kva.test>\r\n"))
    talk = ClientTalk(offering: ["SMTPUTF8", "8BITMIME"])
    talk.client.start(.sample(to: ["jürgen@bücher.test"]))
    #expect(talk.taken() == "MAIL FROM:<a@client.test> BODY=8BITMIME SMTPUTF8\r\n")
    talk.reply(250)
    #expect(talk.taken() == "RCPT TO:<jürgen@bücher.test>\r\n")
  }

  @Test("SMTPUTF8 that was declared and is not needed is not asked of the host")
  func declaredOnly() {
    var envelope = Envelope(reversePath: nil)
    envelope.isInternationalized = true
    var talk = ClientTalk(offering: [])
    talk.client.start(.sample(envelope: envelope))
    #expect(talk.taken() == "MAIL FROM:<>\r\n")
  }

  @Test("REQUIRETLS needs verified TLS and the host's word")
  func requireTLS() {
    var envelope = Envelope(reversePath: nil)
    envelope.requiresTLS = true
    #expect(refusal(.sample(envelope: envelope), offering: ["REQUIRETLS"])?.hasPrefix("550 5.7.30") == true)
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", tls: .required, isImplicitTLS: true))
    talk.client.tlsEstablished(isVerified: true)
    talk.reply(220)
    talk.client.received(SMTPReply(250, lines: ["s.test", "REQUIRETLS"]))
    _ = talk.taken()
    talk.client.start(.sample(envelope: envelope))
    #expect(talk.taken() == "MAIL FROM:<> REQUIRETLS\r\n")
  }

  @Test("notification requests are passed on where DSN is offered, and only there")
  func notifications() {
    var envelope = Envelope(reversePath: nil)
    envelope.return = .headers
    envelope.envelopeID = "QQ+1 =é"
    let request = NotificationRequest(notify: [.success, .failure], originalRecipient: "rfc822;Bob+tag@s.test")
    var talk = ClientTalk(offering: ["PIPELINING", "DSN"])
    talk.client.start(.sample(envelope: envelope, notification: request))
    #expect(
      talk.taken() == "MAIL FROM:<> RET=HDRS ENVID=QQ+2B1+20+3D+C3+A9\r\n"
        + "RCPT TO:<b@server.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Btag@s.test\r\nDATA\r\n")
    for code in [250, 250, 354] as [UInt16] { talk.reply(code) }
    _ = talk.step()
    talk.client.bodySent()
    talk.reply(250)
    #expect(talk.result()?.passedNotifications == true)
    talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(envelope: envelope, notification: request))
    #expect(talk.taken() == "MAIL FROM:<>\r\nRCPT TO:<b@server.test>\r\nDATA\r\n")
  }

  @Test("an original recipient of RFC 6533 is escaped without SMTPUTF8")
  func internationalOriginal() {
    let request = NotificationRequest(notify: [.never], originalRecipient: "utf-8;jürgen=\\@s.test")
    var talk = ClientTalk(offering: ["PIPELINING", "DSN"])
    talk.client.start(.sample(notification: request))
    #expect(talk.taken().contains("NOTIFY=NEVER ORCPT=utf-8;j\\x{FC}rgen\\x{3D}\\x{5C}@s.test\r\n"))
  }

  @Test("an address can't end its line", arguments: ["a\r\nDATA\r\nb", "a\u{0}b", "a\u{7F}"])
  func injection(_ local: String) {
    var talk = ClientTalk(offering: ["PIPELINING"])
    talk.client.start(.sample(to: ["\(local)@s.test"]))
    let lines = talk.taken().split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(lines.count == 4 && lines[1].hasPrefix("RCPT TO:<\""))
  }
}
