import Bytes
import NIOCore
import Outside
import SASL
import Testing

@testable import SMTP

/// AUTH in its place (RFC 4954). The mechanisms themselves: SASLTests.
@Suite struct AuthenticationTests {
  private func service(
    _ mechanisms: [SASLMechanism] = SASLMechanism.allCases, needsTLS: Bool = true, isRequired: Bool = true,
    limits: SMTPLimits = .init()
  ) -> SMTPService {
    SMTPService(
      dialect: .smtp, hostname: "mx.example.test", extensions: [.standard, .startTLS],
      authentication: .init(mechanisms: mechanisms, needsTLS: needsTLS, isRequired: isRequired, makeNonce: { Array(0..<18) }),
      limits: limits)
  }

  private static let bindable = TLSFacts(
    version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", exporter: Array(repeating: 7, count: 32))

  /// A conversation over TLS that has said EHLO.
  private func talk(_ service: SMTPService? = nil, tls: TLSFacts? = Talk.facts) -> Talk {
    var talk = Talk(service ?? self.service(), tls: tls)
    talk.send("EHLO c\r\n")
    return talk
  }

  private func base64(_ text: String) -> String { String(decoding: Base64.encode(Array(text.utf8)), as: UTF8.self) }

  @Test func `what is announced hangs on the connection`() {
    func announced(_ service: SMTPService, _ tls: TLSFacts?) -> String {
      var talk = Talk(service, tls: tls)
      let line = talk.send("EHLO c\r\n").split(separator: "\r\n").first { $0.dropFirst(4).hasPrefix("AUTH") }
      return line.map { String($0.dropFirst(4)) } ?? ""
    }
    let all = "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS OAUTHBEARER XOAUTH2 EXTERNAL"
    #expect(announced(service(), Self.bindable) == all)
    #expect(announced(service(), Talk.facts) == "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 OAUTHBEARER XOAUTH2 EXTERNAL")
    #expect(announced(service(), nil) == "")
    #expect(announced(service(needsTLS: false), nil) == "AUTH SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL")
    #expect(announced(service([.plain], needsTLS: false), nil) == "")
    #expect(announced(SMTPService(dialect: .smtp, hostname: "x"), Talk.facts) == "")
  }

  @Test func `with an initial response, without one, and step by step`() {
    var talk = talk()
    #expect(talk.codes("MAIL FROM:<tim@x>") == ["530"])
    #expect(talk.send("AUTH PLAIN \(base64("\u{0}tim\u{0}secret"))\r\n") == "235 2.7.0 Authentication successful\r\n")
    #expect(talk.conversation.isAuthenticated)
    #expect(talk.codes("AUTH PLAIN", "MAIL FROM:<tim@x>") == ["503", "250"])
    #expect(talk.conversation.protocolKeyword == "ESMTPSA")
    var plain = self.talk()
    #expect(plain.send("AUTH PLAIN\r\n") == "334 \r\n")
    #expect(plain.send("\(base64("tom\u{0}tim\u{0}secret"))\r\n") == "235 2.7.0 Authentication successful\r\n")
    var login = self.talk()
    #expect(login.send("auth login\r\n") == "334 VXNlcm5hbWU6\r\n")
    #expect(login.send("\(base64("tim"))\r\n") == "334 UGFzc3dvcmQ6\r\n")
    #expect(login.send("\(base64("secret"))\r\n") == "235 2.7.0 Authentication successful\r\n")
  }

  @Test func `SCRAM takes three challenges, the proof of the server among them`() throws {
    var talk = talk(service(needsTLS: false), tls: nil)
    let nonce = String(decoding: Base64.encode(Array(0..<18)), as: UTF8.self)
    let serverFirst = "r=abc\(nonce),s=AQ==,i=1"
    #expect(talk.send("AUTH SCRAM-SHA-256 \(base64("n,,n=tim,r=abc"))\r\n") == "334 \(base64(serverFirst))\r\n")
    #expect(talk.codes(base64("c=biws,r=abc\(nonce),p=AAAA")) == ["535"])
    #expect(!talk.conversation.isAuthenticated)
  }

  @Test func `what fails, and how`() {
    var talk = talk(service(isRequired: false))
    #expect(
      talk.codes(
        "AUTH PLAIN \(base64("\u{0}tim\u{0}wrong"))", "AUTH PLAIN \(base64("\u{0}tom\u{0}secret"))",
        "AUTH PLAIN \(base64("boss\u{0}tim\u{0}secret"))", "AUTH PLAIN \(base64("\u{0}away\u{0}secret"))")
        == ["535", "535", "535", "454"])
    #expect(
      talk.codes(
        "AUTH DIGEST-MD5", "AUTH SCRAM-SHA-256-PLUS \(base64("p=tls-exporter,,n=tim,r=abc"))", "AUTH SCRAM-SHA-256 =", "AUTH") == [
          "504", "535", "501", "501",
        ])
    #expect(talk.codes("MAIL FROM:<a@x>", "AUTH PLAIN") == ["250", "503"])
    #expect(
      talk.send("AUTH PLAIN \(base64("\u{0}tim\u{0}wrong"))\r\n") == "503 5.5.1 Not within a mail transaction; RSET ends it\r\n")
    var unextended = Talk(service(), tls: Talk.facts)
    #expect(unextended.codes("AUTH PLAIN", "HELO c", "AUTH PLAIN") == ["503", "250", "503"])
    var clear = self.talk(tls: nil)
    #expect(clear.send("AUTH PLAIN\r\n") == "538 5.7.11 Authentication needs TLS\r\n")
    #expect(clear.send("MAIL FROM:<a@x>\r\n") == "530 5.7.0 Begin with STARTTLS\r\n")
    var loose = self.talk(service(needsTLS: false), tls: nil)
    #expect(loose.codes("AUTH PLAIN", "AUTH LOGIN", "AUTH EXTERNAL =") == ["538", "538", "535"])
  }

  @Test func `HOSTILE 17: cancelled, bad base64, a megabyte, an empty response; the next login is not the worse for it`() {
    var talk = talk()
    #expect(talk.send("AUTH PLAIN\r\n") == "334 \r\n")
    #expect(talk.send("*\r\n") == "501 5.7.0 Authentication cancelled\r\n")
    #expect(talk.send("AUTH PLAIN\r\n") == "334 \r\n")
    #expect(talk.send("!!!\r\n") == "501 5.5.2 Not a response of this mechanism\r\n")
    #expect(talk.send("AUTH PLAIN =\r\n") == "501 5.5.2 Not a response of this mechanism\r\n")
    #expect(talk.send("AUTH PLAIN *\r\n") == "501 5.5.2 Not a response of this mechanism\r\n")
    #expect(talk.send("AUTH PLAIN AHRpbQBzZWNyZXQ\r\n") == "501 5.5.2 Not a response of this mechanism\r\n")
    #expect(talk.codes("AUTH PLAIN", "AUTH PLAIN", "NOOP") == ["334", "501", "250"])
    #expect(talk.send("AUTH PLAIN\r\n") == "334 \r\n")
    #expect(talk.send("AHRpbQBzZWNyZXQ=\n") == "501 5.5.2 Not a response of this mechanism\r\n")
    #expect(talk.send("AUTH PLAIN \(base64("\u{0}tim\u{0}secret"))\r\n") == "235 2.7.0 Authentication successful\r\n")
    var long = self.talk()
    long.send("AUTH PLAIN\r\n")
    #expect(long.send(String(repeating: "A", count: 13_000) + "\r\n") == "500 5.5.6 Response too long\r\n")
    #expect(long.send("AUTH PLAIN \(base64("\u{0}tim\u{0}secret"))\r\n") == "235 2.7.0 Authentication successful\r\n")
    var endless = self.talk()
    endless.send("AUTH PLAIN\r\n")
    #expect(Talk.codes(endless.send([UInt8](repeating: 0x41, count: 1_048_576))) == "500,421")
    #expect(endless.isClosed)
    var initial = self.talk()
    #expect(Talk.codes(initial.send("AUTH PLAIN " + String(repeating: "A", count: 1_048_576) + "\r\n")) == "500,421")
  }

  @Test func `HOSTILE 18: to act as another without a grant is refused, with one it is not`() {
    var talk = talk()
    #expect(
      talk.codes("AUTH PLAIN \(base64("boss\u{0}tim\u{0}secret"))", "AUTH PLAIN \(base64("tom\u{0}tim\u{0}secret"))") == [
        "535", "235",
      ])
  }

  @Test func `guessing ends the connection; what a client did before stays with it over STARTTLS`() {
    let wrong = "AUTH PLAIN \(base64("\u{0}tim\u{0}wrong"))"
    var talk = talk()
    #expect(talk.codes(wrong, wrong, wrong, wrong, wrong) == ["535", "535", "535", "535", "421"])
    #expect(talk.isClosed)
    var loose = self.talk(service(needsTLS: false), tls: nil)
    let external = "AUTH EXTERNAL ="
    #expect(
      loose.codes(external, external, external, "STARTTLS", "EHLO c", external, external) == [
        "535", "535", "535", "220", "250", "535", "421",
      ])
  }

  @Test func `nothing may follow AUTH or a response before their replies`() {
    var talk = talk()
    #expect(Talk.codes(talk.send("AUTH PLAIN \(base64("\u{0}tim\u{0}secret"))\r\nMAIL FROM:<tim@x>\r\n")) == "554")
    #expect(talk.isClosed)
  }

  @Test func `STARTTLS and XCLIENT forget who it was (RFC 3207, 4_2)`() {
    var talk = Talk(service(needsTLS: false), mayUseXCLIENT: true)
    talk.send("EHLO c\r\n")
    #expect(talk.codes("AUTH EXTERNAL =") == ["535"])
    var scram = Talk(service([.external, .scramSHA256], needsTLS: false, isRequired: false), mayUseXCLIENT: true)
    scram.send("EHLO c\r\n")
    scram.conversation.isAuthenticated = true
    #expect(scram.codes("STARTTLS") == ["220"])
    #expect(!scram.conversation.isAuthenticated)
    scram.conversation.isAuthenticated = true
    scram.send("EHLO c\r\n")
    #expect(scram.codes("XCLIENT ADDR=192.0.2.1") == ["220"])
    #expect(!scram.conversation.isAuthenticated)
  }

  @Test func `bytes come one by one, and nothing changes`() {
    var talk = talk()
    var said = ""
    for byte in "AUTH LOGIN\r\n\(base64("tim"))\r\n\(base64("secret"))\r\nMAIL FROM:<tim@x>\r\n".utf8 { said += talk.send([byte]) }
    #expect(said == "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 Authentication successful\r\n250 2.1.0 Sender OK\r\n")
  }

  @Test func `a shutdown or a deadline in the middle of an exchange ends it`() {
    var talk = talk()
    talk.send("AUTH LOGIN\r\n")
    talk.perform(talk.conversation.shutdown())
    #expect(talk.isClosed && talk.said().hasPrefix("421 4.3.2 "))
    var late = self.talk()
    late.send("AUTH LOGIN\r\n")
    late.perform(late.conversation.deadlinePassed())
    #expect(late.isClosed && late.said().hasPrefix("421 4.4.2 "))
  }
}
