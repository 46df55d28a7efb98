import Bytes
import DNSTypes
import Outside
import Testing

@testable import MessageAuthentication

@Suite struct SignerTests {
  static let bodies: [(String, [UInt8])] = [
    ("empty", []), ("one line end", mail("\n")), ("no line end at its end", mail("a\nb")), ("blank lines", mail("\n\na\n\n\n")),
    ("8-bit", mail("Gr\u{FC}\u{DF}e \u{1F600}\n") + [0xFF, 0xFE, 0x80, 0x0D, 0x0A]), ("NUL", [0, 0, 0x0D, 0x0A]),
    ("a long line", mail(String(repeating: "x y", count: 40_000) + "\n")), ("blanks", mail("  a\t\tb  \n \t\n c \n")),
    ("many lines", mail(String(repeating: "a line of text  \n", count: 5_000))),
  ]

  static let headers: [(String, [UInt8])] = [
    ("plain", mail("From: a@example.org\nSubject: hello\n")),
    ("folded", mail("From: a\n <a@example.org>\nSubject: \n hello\n\tthere \t\n\tand on\nTo: b@example.net\n")),
    ("8-bit", mail("From: Gr\u{FC}\u{DF} <a@example.org>\nSubject: \u{1F600}\n") + [0x58, 0x3A, 0xFF, 0xFE, 0x0D, 0x0A]),
    ("long", mail("From: a@example.org\nSubject: " + String(repeating: "long ", count: 180) + "\nX-Y: z\n")),
    ("repeated", mail("From: a@example.org\nSubject: 1\nSubject: 2\nReceived: a\nReceived: b\nList-Id: <x>\nResent-To: c@d\n")),
  ]

  @Test("what is signed verifies: all headers, bodies, and canonicalizations, both algorithms")
  func roundTrips() throws {
    var signer = try DKIMSigner.both()
    for header in Canonicalization.allCases {
      for body in Canonicalization.allCases {
        (signer.headerCanonicalization, signer.bodyCanonicalization) = (header, body)
        for (headerName, fields) in Self.headers {
          for (bodyName, content) in Self.bodies {
            let signed = try signer.signed(fields + [0x0D, 0x0A] + content)
            let verdicts = verify(signed, signer.answers)
            #expect(
              verdicts.map(\.result) == [.pass, .pass], "\(header)/\(body) \(headerName), \(bodyName): \(verdicts.map(\.reason))")
          }
        }
      }
    }
  }

  @Test("lines of the field have at most 78 columns, all of them ended by CRLF, none empty") func folding() throws {
    var signer = try DKIMSigner.both("a-rather-long-name-of-a-domain.with-several-labels.example.org")
    signer.identity = String(repeating: "=", count: 80)
    signer.lifetime = .seconds(86_400)
    let many = mail((0..<50).map { "To: person\($0)@example.net\n" }.joined()) + letter
    let fields = try signer.sign(
      SignableMessage(
        header: Passed(many, kinds: []).splitter.header, body: Passed(many, kinds: signer.bodyKinds).hashes, time: noon))
    let lines = string(fields).split(separator: "\r\n", omittingEmptySubsequences: false).dropLast()
    #expect(lines.count > 20)
    for line in lines where !line.contains("i==3D") { #expect(line.utf8.count <= 78 && line.utf8.count > 3, "\(line)") }
    #expect(lines.allSatisfy { $0.utf8.count <= 998 && ($0.first == " " || $0.hasPrefix("DKIM-Signature: v=1;")) })
    #expect(verify(fields + many, signer.answers).map(\.result) == [.pass, .pass])
  }

  @Test("tags are those asked for") func tags() throws {
    var signer = try DKIMSigner.both()
    let plain = try signer.signed(letter)
    #expect(!string(plain).contains("x=1800") && !string(plain).contains(" i=") && !string(plain).contains("l="))
    signer.lifetime = .seconds(3_600)
    signer.identity = "joe;doe"
    let verdicts = verify(try signer.signed(letter), signer.answers)
    let signature = try #require(verdicts.first?.signature)
    #expect(signature.time == 1_800_000_000 && signature.expiry == 1_800_003_600 && signature.identity == "joe;doe@example.org")
    #expect(signature.headerCanonicalization == .relaxed && signature.body == BodyHashKind(.relaxed))
    #expect(verdicts.map(\.signature?.algorithm) == [.rsaSHA256, .ed25519SHA256])
    #expect(verify(try signer.signed(letter), signer.answers, time: Timestamp(seconds: 1_800_003_800)).first?.result == .pass)
    #expect(verify(try signer.signed(letter), signer.answers, time: Timestamp(seconds: 1_800_004_000)).first?.result == .fail)
  }

  @Test(
    "RFC 6376, 8.15: a field that is put before a signed message breaks it",
    arguments: [
      "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "MIME-Version",
      "Content-Type",
      "Content-Transfer-Encoding",
    ])
  func oversigning(field: String) throws {
    let signer = try DKIMSigner.both()
    let forged = mail("\(field): forged\n") + (try signer.signed(letter))
    #expect(verify(forged, signer.answers).allSatisfy { $0.result == .fail })
    let behind = try signer.signed(letter)
    let end = try #require(behind.firstRange(of: Array("\r\n\r\n".utf8)))
    let appended = Array(behind[..<end.lowerBound]) + mail("\n\(field): forged") + Array(behind[end.lowerBound...])
    #expect(verify(appended, signer.answers).allSatisfy { $0.result != .pass })
  }

  @Test("a list may add its List-Id where there was none, and none more where there was") func lists() throws {
    let signer = try DKIMSigner.both()
    #expect(
      verify(mail("List-Id: <x>\nReceived: y\n") + (try signer.signed(letter)), signer.answers).allSatisfy { $0.result == .pass })
    let listed = try signer.signed(mail("List-Unsubscribe: <https://x>\n") + letter)
    #expect(verify(mail("List-Unsubscribe: <https://y>\n") + listed, signer.answers).allSatisfy { $0.result == .fail })
  }

  @Test("RFC 6376, 5.3: what would not arrive as it was signed is not signed") func refusals() throws {
    let signer = try DKIMSigner.both()
    func error(_ header: String) -> SigningError? {
      let message = Array(header.utf8)
      do throws(SigningError) {
        _ = try signer.sign(SignableMessage(header: message, body: Passed([], kinds: signer.bodyKinds).hashes, time: noon))
        return nil
      } catch { return error }
    }
    #expect(error("To: a@b\r\n") == .fromFields(count: 0))
    #expect(error("From: a@b\r\nfrom : c@d\r\n") == .fromFields(count: 2))
    #expect(error("From: a@b\nTo: x\r\n") == .bareLineEnd)
    #expect(error("From: a@b\r\nTo: x\ry\r\n") == .bareLineEnd)
    for line in [" folded: x", "\tx", "no field", ": x", "From a@b Fri Jul 11"] {
      #expect(error("\(line)\r\nFrom: a@b\r\n") == .notAField)
    }
    #expect(error("From: a@b\r\nno field\r\n") == .notAField)
    #expect(error("From: a@b\r\n" + String(repeating: "X: y\r\n", count: 10_000)) == .tooManyFields(limit: 10_000))
    #expect(error("From: a@b\r\n" + String(repeating: "To: y\r\n", count: 1_000)) == .tooManyFields(limit: 1_000))
    #expect(throws: SigningError.noBodyHash) {
      try signer.sign(SignableMessage(header: mail("From: a@b\n"), body: Passed([], kinds: []).hashes, time: noon))
    }
  }

  @Test("a domain beyond ASCII is signed as A-labels and verifies", arguments: ["b\u{FC}cher.example", "xn--bcher-kva.example"])
  func international(domain: String) throws {
    let name = try #require(DNSName(dkim: Array(domain.utf8)[...]))
    let key = DKIMSigner.Key(selector: try #require(DNSName("s")), key: try TestKeys.ed25519.get())
    let signer = try #require(DKIMSigner(domain: name, keys: [key]))
    let signed = try signer.signed(letter)
    #expect(string(signed).contains("d=xn--bcher-kva.example;"))
    #expect(verify(signed, signer.answers).map(\.result) == [.pass])
  }

  @Test("names that would break the field, or that nobody verifies, make no signer")
  func names() throws {
    let key = try TestKeys.ed25519.get()
    for (domain, selector) in [("org", "s"), ("a;b.org", "s"), ("example.org", "s; l=0"), ("a b.org", "s"), ("-a.org", "s")] {
      #expect(DKIMSigner(domain: try name(domain), keys: [DKIMSigner.Key(selector: try name(selector), key: key)]) == nil)
    }
  }
}
