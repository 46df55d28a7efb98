import Bytes
import Testing

@testable import SASL

@Suite struct SASLServerTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  private func server(_ mechanism: SASLMechanism, isProtected: Bool = true) -> SASLServer {
    SASLServer(mechanism, channel: .init(isProtected: isProtected), nonce: Array(0..<18))
  }

  private func first(_ mechanism: SASLMechanism, _ text: String) -> SASLStep {
    var server = server(mechanism)
    return server.begin(initial: bytes(text))
  }

  @Test func `the examples of RFC 4616, 4`() {
    #expect(
      first(.plain, "\u{0}tim\u{0}tanstaaftanstaaf")
        == .ask(.password(user: "tim", password: bytes("tanstaaftanstaaf"), actsAs: nil)))
    #expect(
      first(.plain, "Ursel\u{0}Kurt\u{0}xipj3plmq") == .ask(.password(user: "Kurt", password: bytes("xipj3plmq"), actsAs: "Ursel")))
    #expect(first(.plain, "tim\u{0}tim\u{0}x") == .ask(.password(user: "tim", password: bytes("x"), actsAs: nil)))
  }

  @Test func `PLAIN without an initial response, and what comes of the answers`() {
    for (verdict, step) in [
      (.accepted, .succeeded), (.rejected(.badCredentials), .failed(.badCredentials)), (.rejected(.temporary), .failed(.temporary)),
      (.rejected(.notAuthorized), .failed(.notAuthorized)),
    ] as [(SASLVerdict, SASLStep)] {
      var server = server(.plain)
      #expect(server.begin(initial: nil) == .challenge([]))
      guard case .ask = server.take(bytes("\u{0}tim\u{0}x")) else { return #expect(Bool(false), "not asked") }
      #expect(server.answer(.verdict(verdict)) == step)
      #expect(server.take([]) == .failed(.malformed("no response was due")))
      #expect(server.answer(.verdict(.accepted)) == .failed(.temporary))
    }
  }

  @Test(arguments: [
    "", "\u{0}", "\u{0}\u{0}", "tim", "tim\u{0}x", "\u{0}tim\u{0}", "\u{0}\u{0}x", "\u{0}tim\u{0}x\u{0}", "\u{0}tim\u{0}x\u{0}y",
    "a\u{1}\u{0}tim\u{0}x",
    "\u{0}t\u{7F}im\u{0}x", "\u{0}t\r\nim\u{0}x",
  ]) func `PLAIN that is none is refused`(_ message: String) {
    guard case .failed(.malformed) = first(.plain, message) else { return #expect(Bool(false), "\(message) was taken") }
  }

  @Test func `bounds are held, and bytes that are no UTF-8 are no name and no password`() {
    let limits = SASLLimits()
    let long = String(repeating: "a", count: limits.nameLength)
    guard case .ask = first(.plain, "\u{0}\(long)\u{0}x") else { return #expect(Bool(false), "the longest name was refused") }
    guard case .failed(.malformed) = first(.plain, "\u{0}\(long)a\u{0}x") else {
      return #expect(Bool(false), "a longer name was taken")
    }
    let password = String(repeating: "a", count: limits.passwordLength)
    guard case .ask = first(.plain, "\u{0}tim\u{0}\(password)") else {
      return #expect(Bool(false), "the longest password was refused")
    }
    guard case .failed(.malformed) = first(.plain, "\u{0}tim\u{0}\(password)a") else {
      return #expect(Bool(false), "a longer one was taken")
    }
    for wrong in [[0, 0xFF, 0, 0x61], [0, 0x61, 0, 0xC3]] as [[UInt8]] {
      var server = server(.plain)
      guard case .failed(.malformed) = server.begin(initial: wrong) else { return #expect(Bool(false), "\(wrong) was taken") }
    }
    var server = server(.plain)
    #expect(server.begin(initial: [UInt8](repeating: 0x61, count: 1_048_576)) == .failed(.malformed("too long")))
  }

  @Test func `LOGIN asks twice, or once where the name came along`() {
    for named in [false, true] {
      var server = server(.login)
      if named {
        #expect(server.begin(initial: bytes("tim")) == .challenge(bytes("Password:")))
      } else {
        #expect(server.begin(initial: nil) == .challenge(bytes("Username:")))
        #expect(server.take(bytes("tim")) == .challenge(bytes("Password:")))
      }
      #expect(server.take(bytes("p w")) == .ask(.password(user: "tim", password: bytes("p w"), actsAs: nil)))
      #expect(server.answer(.verdict(.accepted)) == .succeeded)
    }
  }

  @Test(arguments: [SASLMechanism.plain, .login, .oauthBearer, .xoauth2]) func `what shows a secret needs TLS`(
    _ mechanism: SASLMechanism
  ) {
    var server = server(mechanism, isProtected: false)
    #expect(server.begin(initial: bytes("\u{0}tim\u{0}x")) == .failed(.encryptionRequired))
  }

  @Test func `SCRAM runs through the server as through the exchange`() throws {
    var server = server(.scramSHA256, isProtected: false)
    #expect(server.begin(initial: nil) == .challenge([]))
    #expect(server.take(bytes("n,,n=user,r=abc")) == .ask(.scramKeys(user: "user", hash: .sha256, actsAs: nil)))
    let keys = try #require(ScramKeys.derive(from: bytes("pencil"), salt: [1, 2, 3], iterations: 4_096, hash: .sha256))
    let nonce = String(decoding: Base64.encode(Array(0..<18)), as: UTF8.self)
    #expect(server.answer(.scram(keys, mayAct: true)) == .challenge(bytes("r=abc\(nonce),s=AQID,i=4096")))
    #expect(server.take(bytes("c=biws,r=abc\(nonce),p=AAAA")) == .failed(.badCredentials))
    var guessable = SASLServer(.scramSHA256, channel: .init(isProtected: true), nonce: [1])
    #expect(guessable.begin(initial: nil) == .failed(.temporary))
    var unasked = self.server(.scramSHA256)
    _ = unasked.begin(initial: bytes("n,,n=user,r=abc"))
    #expect(unasked.answer(.verdict(.rejected(.temporary))) == .failed(.temporary))
  }

  @Test func `EXTERNAL, with and without a name (RFC 4422, appendix A)`() {
    #expect(first(.external, "") == .ask(.certificate(actsAs: nil)))
    #expect(first(.external, "fred@example.com") == .ask(.certificate(actsAs: "fred@example.com")))
    guard case .failed(.malformed) = first(.external, "a\u{0}b") else { return #expect(Bool(false), "NUL was taken") }
  }

  @Test func `OAUTHBEARER: the example of RFC 7628, 4_1, and what a bad token leads to`() {
    let message =
      "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}"
    var server = server(.oauthBearer)
    #expect(
      server.begin(initial: bytes(message))
        == .ask(.token(user: "user@example.com", token: bytes("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="))))
    #expect(server.answer(.verdict(.rejected(.badCredentials))) == .challenge(bytes(#"{"status":"invalid_token"}"#)))
    #expect(server.take([1]) == .failed(.badCredentials))
    #expect(first(.oauthBearer, "n,,\u{1}auth=bearer x\u{1}\u{1}") == .ask(.token(user: nil, token: bytes("x"))))
    var away = self.server(.oauthBearer)
    _ = away.begin(initial: bytes(message))
    #expect(away.answer(.verdict(.rejected(.temporary))) == .failed(.temporary))
  }

  @Test(arguments: [
    "", "n", "n,,", "n,,\u{1}", "n,,\u{1}\u{1}", "n,,auth=Bearer x\u{1}\u{1}", "n,,\u{1}auth=Bearer x\u{1}",
    "n,,\u{1}auth=Bearer \u{1}\u{1}",
    "n,,\u{1}auth=Basic x\u{1}\u{1}", "n,,\u{1}auth=Bearer a b\u{1}\u{1}", "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
    "n,,\u{1}auth=Bearer x\u{1}\u{1}\u{1}", "p=tls-exporter,,\u{1}auth=Bearer x\u{1}\u{1}", "n,b=x,\u{1}auth=Bearer x\u{1}\u{1}",
    "n,,\u{1}=x\u{1}auth=Bearer x\u{1}\u{1}",
  ]) func `OAUTHBEARER that is none is refused`(_ message: String) {
    guard case .failed(.malformed) = first(.oauthBearer, message) else { return #expect(Bool(false), "\(message) was taken") }
  }

  @Test func `XOAUTH2, and what a bad token leads to`() {
    var server = server(.xoauth2)
    #expect(
      server.begin(
        initial: bytes("user=someuser@example.com\u{1}auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\u{1}\u{1}"))
        == .ask(.token(user: "someuser@example.com", token: bytes("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"))))
    guard case .challenge = server.answer(.verdict(.rejected(.badCredentials))) else { return #expect(Bool(false), "not told") }
    #expect(server.take([]) == .failed(.badCredentials))
    guard case .failed(.malformed) = first(.xoauth2, "auth=Bearer x\u{1}\u{1}") else {
      return #expect(Bool(false), "no user was taken")
    }
  }

  @Test func `lines of base64 (HOSTILE 17)`() {
    #expect(SASLWire.read(bytes("*")) == .cancel)
    #expect(SASLWire.read([]) == .response([]))
    #expect(SASLWire.read(bytes("AHRpbQB4")) == .response(bytes("\u{0}tim\u{0}x")))
    #expect(SASLWire.readInitial(bytes("=")) == .response([]))
    for wrong in ["=", "A", "AHRpbQB", "AHRp bQB4", "AHRpbQB4=", "AHRpbQB4\r", "**"] {
      #expect(SASLWire.read(bytes(wrong)) == .malformed)
    }
    for wrong in ["", "*", "A"] { #expect(SASLWire.readInitial(bytes(wrong)) == .malformed) }
    #expect(SASLWire.read([UInt8](repeating: 0x41, count: 1_048_576)) == .malformed)
    #expect(SASLWire.write(bytes("Username:")) == bytes("VXNlcm5hbWU6"))
  }

  @Test func `names of mechanisms in any case`() {
    for mechanism in SASLMechanism.allCases { #expect(SASLMechanism(name: mechanism.rawValue.lowercased()) == mechanism) }
    #expect(SASLMechanism(name: "DIGEST-MD5") == nil)
    #expect(SASLMechanism(name: String(repeating: "PLAIN", count: 1_000)) == nil)
  }
}
