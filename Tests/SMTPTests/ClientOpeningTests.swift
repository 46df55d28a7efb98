import Testing

@testable import SMTP

@Suite struct ClientOpeningTests {
  @Test("a host that does not know EHLO gets HELO, and nothing is assumed of it")
  func helo() {
    var talk = ClientTalk()
    #expect(talk.step() == .receive(.greeting))
    talk.reply(220)
    #expect(talk.taken() == "EHLO client.test\r\n")
    talk.reply(502)
    #expect(talk.taken() == "HELO client.test\r\n")
    talk.client.received(SMTPReply(250, lines: ["server.test", "PIPELINING"]))
    #expect(talk.step() == .ready)
    #expect(!talk.client.capabilities.pipelining)
  }

  @Test("an LMTP host that does not know LHLO is given up")
  func lhlo() {
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", dialect: .lmtp))
    talk.reply(220)
    #expect(talk.taken() == "LHLO client.test\r\n")
    talk.reply(500)
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.stage == .hello)
  }

  @Test("a greeting other than 220 ends it", arguments: [421, 450, 521, 554, 250] as [UInt16])
  func greeting(_ code: UInt16) {
    var talk = ClientTalk()
    talk.reply(code)
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.reply?.code == code)
  }

  @Test("what was offered before TLS is forgotten after it")
  func startTLS() {
    var talk = ClientTalk()
    talk.reply(220)
    _ = talk.taken()
    talk.client.received(SMTPReply(250, lines: ["server.test", "STARTTLS", "PIPELINING", "AUTH PLAIN"]))
    #expect(talk.taken() == "STARTTLS\r\n")
    talk.reply(220)
    #expect(talk.step() == .startTLS)
    talk.client.tlsEstablished(isVerified: true)
    #expect(talk.taken() == "EHLO client.test\r\n")
    #expect(!talk.client.capabilities.pipelining)
    talk.client.received(SMTPReply(250, lines: ["server.test", "STARTTLS", "SIZE 1000"]))
    #expect(talk.step() == .ready)
    #expect(talk.client.isEncrypted && talk.client.isVerified)
    #expect(talk.client.capabilities.maximumSize == 1_000)
  }

  @Test("a refused STARTTLS is remembered and mail goes on in clear, unless TLS is required", arguments: [false, true])
  func refusedTLS(_ isRequired: Bool) {
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", tls: isRequired ? .required : .opportunistic))
    talk.reply(220)
    talk.client.received(SMTPReply(250, lines: ["server.test", "STARTTLS"]))
    talk.reply(454)
    if isRequired {
      guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
      #expect(failure.stage == .startTLS)
    } else {
      #expect(talk.step() == .ready)
      #expect(talk.client.startTLSRefusal?.code == 454)
    }
  }

  @Test("required TLS that is not offered ends it")
  func noTLS() {
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", tls: .required))
    talk.reply(220)
    talk.client.received(SMTPReply(250, lines: ["server.test"]))
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.reason.hasPrefix("451 4.7.4"))
  }

  @Test("implicit TLS comes before the greeting")
  func implicit() {
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", tls: .required, isImplicitTLS: true))
    #expect(talk.step() == .startTLS)
    talk.client.tlsEstablished(isVerified: false)
    #expect(talk.step() == .receive(.greeting))
    talk.reply(220)
    #expect(talk.taken() == "EHLO client.test\r\n")
    talk.client.received(SMTPReply(250, lines: ["server.test"]))
    #expect(talk.step() == .ready)
  }

  @Test("PLAIN is preferred, LOGIN is spoken where there is nothing else")
  func authentication() {
    let settings = SMTPClientSettings(
      hostname: "client.test", tls: .none, credentials: .init(user: "tim", password: "tanstaaftanstaaf"),
      allowsClearAuthentication: true)
    var talk = ClientTalk(settings)
    talk.reply(220)
    _ = talk.taken()
    talk.client.received(SMTPReply(250, lines: ["server.test", "AUTH LOGIN PLAIN CRAM-MD5"]))
    // RFC 4616, 4, without the authorization identity.
    #expect(talk.taken() == "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n")
    talk.reply(235)
    #expect(talk.step() == .ready)

    talk = ClientTalk(settings)
    talk.reply(220)
    _ = talk.taken()
    talk.client.received(SMTPReply(250, lines: ["server.test", "AUTH=LOGIN"]))
    #expect(talk.taken() == "AUTH LOGIN\r\n")
    talk.reply(334)
    #expect(talk.taken() == "dGlt\r\n")
    talk.reply(334)
    #expect(talk.taken() == "dGFuc3RhYWZ0YW5zdGFhZg==\r\n")
    talk.reply(535)
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.stage == .authentication && failure.reply?.code == 535)
  }

  @Test("credentials are not sent without TLS")
  func clearCredentials() {
    var talk = ClientTalk(SMTPClientSettings(hostname: "client.test", credentials: .init(user: "u", password: "p")))
    talk.reply(220)
    _ = talk.taken()
    talk.client.received(SMTPReply(250, lines: ["server.test", "AUTH PLAIN LOGIN"]))
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.stage == .authentication)
    #expect(talk.said == "")
  }

  @Test("a reply that nothing asked for ends it")
  func unsolicited() {
    var talk = ClientTalk(offering: [])
    talk.reply(250)
    guard case .end(let failure?) = talk.step() else { return #expect(Bool(false)) }
    #expect(failure.reason.hasPrefix("451 4.5.0"))
  }

  @Test("QUIT ends it without a failure")
  func quit() {
    var talk = ClientTalk(offering: [])
    talk.client.quit()
    #expect(talk.taken() == "QUIT\r\n")
    #expect(talk.step() == .receive(.quit))
    talk.reply(221)
    #expect(talk.step() == .end(nil))
  }

  @Test("keywords of EHLO are read without case, odd ones ignored")
  func capabilities() {
    let read = SMTPCapabilities(
      SMTPReply(
        250,
        lines: [
          "server.test", "pipelining", "size 99999999999999999999999", "8bitmime", "Limits RCPTMAX=5 MAILMAX=x RCPTDOMAINMAX=2", "",
          " ",
          "XYZZY PLUGH", "CHUNKING", "BINARYMIME", "DSN", "SMTPUTF8", "REQUIRETLS", "ENHANCEDSTATUSCODES",
        ]))
    #expect(read.pipelining && read.eightBitMIME && read.chunking && read.binaryMIME && read.dsn && read.utf8 && read.requireTLS)
    #expect(read.size && read.maximumSize == 0)
    #expect(read.maximumRecipients == 5 && read.maximumMessages == 0 && read.maximumDomains == 2)
    #expect(!read.startTLS && !read.authenticatesPlain)
  }
}
