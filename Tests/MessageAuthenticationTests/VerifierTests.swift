import Bytes
import DNSTypes
import Outside
import Testing

@testable import MessageAuthentication

@Suite struct VerifierTests {
  static let record = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

  /// `message` with a signature of these tags by the Ed25519 key of RFC 8463; `bh=` and `b=` are put behind them.
  static func signed(_ tags: String, _ message: [UInt8] = letter, kind: BodyHashKind = BodyHashKind(.simple)) throws -> [UInt8] {
    let hash = try #require(Passed(message, kinds: [kind]).hashes[kind]?.sha256)
    let field = "DKIM-Signature: \(tags); bh=\(string(Base64.encode(hash))); b="
    let draft = Array("\(field)AAAA\r\n".utf8) + message
    var splitter = MessageSplitter()
    draft.withUnsafeBytes { _ = splitter.take($0) }
    let header = HeaderFields(splitter.header)
    let signature = try DKIMSignature(parsing: Array(header.bytes[header.fields[0].range]))
    let digest = try #require(DKIMVerification(header: splitter.header).headerHash(signature, field: 0))
    let made = try #require(try TestKeys.ed25519.get().sign(hash: digest))
    return Array("\(field)\(string(Base64.encode(made)))\r\n".utf8) + message
  }

  static let tags = "v=1; a=ed25519-sha256; d=example.org; s=s; h=from:to"

  @Test("tags that may be left out, and how they may be written") func defaults() throws {
    for tags in [
      Self.tags, "s=s;h = FROM : to ; d=EXAMPLE.org;a=Ed25519-SHA256;v=1",
      Self.tags + "; c=simple/simple; q=dns/txt:other; z=From:x|To:y; n=1",
      Self.tags + "; c=relaxed", Self.tags + "; i=joe=3Bdoe@mail.example.org; x=99999999999999999999; t=1",
      Self.tags.replacing("; ", with: ";\r\n "),
    ] {
      let verdicts = verify(try Self.signed(tags), record: Self.record)
      #expect(verdicts.map(\.result) == [.pass], "\(tags): \(verdicts.map(\.reason))")
    }
    let relaxed = BodyHashKind(.relaxed)
    #expect(verify(try Self.signed(Self.tags + "; c=simple/relaxed", kind: relaxed), record: Self.record).map(\.result) == [.pass])
  }

  @Test("a message without a signature is none") func unsigned() {
    let verdicts = verify(letter, record: Self.record)
    #expect(verdicts.map(\.result) == [.none] && verdicts.first?.signature == nil)
    #expect(DKIMVerification(header: letter).questions.isEmpty && DKIMVerification(header: letter).bodyKinds.isEmpty)
  }

  @Test(
    "what can't be read is neutral (RFC 8601, 2.7.1)",
    arguments: [
      "", "v=1", "v=2; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA", "a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA",
      "v=1; d=a.b; s=s; h=from; bh=AAAA; b=AAAA", "v=1; a=rsa-md5; d=a.b; s=s; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; s=s; h=from; bh=AAAA; b=AAAA", "v=1; a=rsa-sha256; d=com; s=s; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=a..b; s=s; h=from; bh=AAAA; b=AAAA", "v=1; a=rsa-sha256; d=a.b.; s=s; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=a b.c; s=s; h=from; bh=AAAA; b=AAAA", "v=1; a=rsa-sha256; d=a.b; h=from; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=a.b; s=; h=from; bh=AAAA; b=AAAA", "v=1; a=rsa-sha256; d=a.b; s=s; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=; bh=AAAA; b=AAAA", "v=1; a=rsa-sha256; d=a.b; s=s; h=from::to; bh=AAAA; b=AAAA",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; b=AAAA", "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAA; b=AAAA", "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; c=other",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; c=simple/",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; c=simple/simple/simple",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; l=-1", "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; l=",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; t=x",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; t=5; x=5",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; q=http",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; i=x@c.d",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; i=x@aa.b",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; i=x",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; d=c.d", "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA; x",
      "v=1; a=rsa-sha256; d=a.b; s=s; h=from; bh=AAAA; b=AAAA;; t=1", "v=1; a=rsa-sha256; d=a.b; s=s\u{0}; h=from; bh=AAAA; b=AAAA",
    ])
  func unreadable(tags: String) {
    let verdicts = verify(Array("DKIM-Signature: \(tags)\r\n".utf8) + letter, record: Self.record)
    #expect(verdicts.map(\.result) == [.neutral] && verdicts.first?.reason.isEmpty == false, "\(tags)")
  }

  @Test("RFC 8301, 3.1: SHA-1 is refused, and From must be signed (RFC 6376, 6.1.1)") func refused() {
    func verdict(_ tags: String) -> DKIMVerdict? {
      verify(Array("DKIM-Signature: v=1; d=a.b; s=s; bh=AAAA; b=AAAA; \(tags)\r\n".utf8) + letter, record: Self.record).first
    }
    #expect(verdict("a=rsa-sha1; h=from")?.result == .permerror && verdict("a=rsa-sha1; h=from")?.reason == "SHA-1 is refused")
    #expect(verdict("a=rsa-sha256; h=to:subject")?.reason == "From is not signed")
  }

  @Test("HOSTILE 33: a second From that is not signed is no pass, one that is signed is") func twoFroms() throws {
    let signed = try Self.signed(Self.tags)
    #expect(verify(mail("From: forged@example.com\n") + signed, record: Self.record).map(\.result) == [.policy])
    let both = try Self.signed(Self.tags.replacing("from", with: "from:from"), mail("From: b@example.org\n") + letter)
    #expect(verify(both, record: Self.record).map(\.result) == [.pass])
  }

  @Test("HOSTILE 33: what l= leaves open is told, and is no pass") func lengths() throws {
    let size = try #require(Passed(letter, kinds: [BodyHashKind(.simple)]).hashes[BodyHashKind(.simple)]?.octets)
    for (length, wanted) in [(0, DKIMResult.policy), (5, .policy), (size, .pass), (size + 1, .fail), (UInt64.max, .fail)] {
      let signed = try Self.signed(Self.tags + "; l=\(length)", kind: BodyHashKind(.simple, length: length))
      let verdict = verify(signed, record: Self.record).first
      #expect(
        verdict?.result == wanted && (wanted == .fail || verdict?.unsignedOctets == size - length),
        "l=\(length): \(verdict?.reason ?? "")")
    }
    let whole = try Self.signed(Self.tags + "; l=\(size)", kind: BodyHashKind(.simple, length: size)) + mail("<a href=evil>\n")
    #expect(
      verify(whole, record: Self.record).first?.result == .policy && verify(whole, record: Self.record).first?.unsignedOctets == 15)
    #expect(
      verify(try Self.signed(Self.tags + "; l=" + String(repeating: "9", count: 76)), record: Self.record).map(\.result) == [.fail])
  }

  @Test("what the key's record says is obeyed") func keyRecords() throws {
    let signed = try Self.signed(Self.tags + "; i=@sub.example.org")
    func result(_ record: String) -> DKIMResult? { verify(signed, record: record).first?.result }
    let p = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    #expect(result("k=ed25519;" + p) == .pass && result("k=ed25519; h=sha256; s=email; t=y;" + p) == .pass)
    for record in [
      "k=ed25519; h=sha1;" + p, "k=ed25519; s=tlsrpt;" + p, "k=ed25519; t=s;" + p, "k=rsa;" + p, p, "k=ed25519; p=",
      "k=ed25519; p=AAAA", "x",
      RFC8463Tests.rsaRecord,
    ] { #expect(result(record) == .permerror, "\(record)") }
    let testing = verify(signed, record: "k=ed25519; t=y;" + p).first
    #expect(testing?.isTesting == true && testing?.keyBits == 256)
    #expect(verify(signed, record: "k=ed25519; t=y; p=").first?.isTesting == true)
    #expect(verify(try Self.signed(Self.tags), record: "k=ed25519; t=s;" + p).first?.result == .pass)
  }

  @Test("answers of the DNS") func answers() throws {
    let signed = try Self.signed(Self.tags)
    let key = try name("s._domainkey.example.org")
    #expect(DKIMVerification(header: signed).questions == [key])
    #expect(verify(signed, [key: .unavailable]).map(\.result) == [.temperror])
    #expect(verify(signed, [:]).map(\.result) == [.permerror] && verify(signed, [key: .records([])]).map(\.result) == [.permerror])
    let wildcard = [Array("v=spf1 -all".utf8), Array(Self.record.utf8)]
    #expect(verify(signed, [key: .records(wildcard)]).map(\.result) == [.pass])
    #expect(verify(signed, [key: .records([[]] + wildcard + wildcard)]).map(\.result) == [.pass])
    #expect(verify(signed, [key: .records(Array(repeating: wildcard[0], count: 4) + [wildcard[1]])]).map(\.result) == [.permerror])
  }

  @Test("HOSTILE 33, RFC 8301, 3.2: RSA keys of 512 bits are no pass, and huge ones are not even tried") func keySizes() throws {
    let signed = Array("DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=AAAA; b=AAAA\r\n".utf8) + letter
    for (record, reason) in [
      (OtherKeys.public512, "the key has 512 bits, fewer than 1024"),
      (OtherKeys.public8192, "the key has 8192 bits, more than 4096"),
      (OtherKeys.longExponent, "the key's exponent has more than 64 bits"),
    ] {
      let verdict = verify(signed, record: "p=" + record).first
      #expect(verdict?.result == .policy && verdict?.reason == reason, "\(verdict?.reason ?? "")")
    }
  }

  @Test("RSA keys are read in both of their forms") func rsaForms() throws {
    let key = try TestKeys.rsa.get()
    let record = try #require(key.record)
    let signature = try #require(key.sign(hash: [UInt8](repeating: 7, count: 32)))
    // SubjectPublicKeyInfo of 2048 bits: 24 octets, then RSAPublicKey.
    let bare = DKIMKeyRecord(keyType: .rsa, publicKey: Array(record.publicKey.dropFirst(24)))
    #expect(DKIMPublicKey(bare)?.verify(signature, hash: [UInt8](repeating: 7, count: 32)) == true)
    for octets in [record.publicKey + [0], bare.publicKey + [0], Array(record.publicKey.dropLast()), [0x30, 0x82], []] {
      #expect(DKIMPublicKey(DKIMKeyRecord(keyType: .rsa, publicKey: octets)) == nil)
    }
  }

  @Test("HOSTILE 33: of a thousand signatures ten are looked at, each question is asked once") func manySignatures() throws {
    let one = try Self.signed(Self.tags)
    let field = Array(one[..<(one.count - letter.count)])
    let message = Array(repeatElement(field, count: 1_000).joined()) + letter
    let verification = DKIMVerification(header: message)
    #expect(verification.ignoredSignatures == 990 && verification.questions.count == 1 && verification.bodyKinds.count == 1)
    #expect(verify(message, record: Self.record).map(\.result) == Array(repeating: .pass, count: 10))
  }

  @Test("HOSTILE 33: signatures and headers without measure are not read") func hugeInputs() {
    func result(_ tags: String) -> DKIMVerdict? {
      verify(Array("DKIM-Signature: \(tags)\r\n".utf8) + letter, record: Self.record).first
    }
    let good = "v=1; a=ed25519-sha256; d=a.b; s=s; bh=AAAA; b=AAAA; h=from"
    #expect(result(good + String(repeating: ":to", count: 2_000))?.result == .neutral)
    #expect(result(good + String(repeating: " ", count: 20_000))?.result == .neutral)
    #expect(result(good + (0..<100).map { "; a\($0)=" }.joined())?.result == .neutral)
    let many = mail(String(repeating: "X: y\n", count: 10_001))
    let crowded = Array("DKIM-Signature: \(good)\r\n".utf8) + many + letter
    #expect(verify(crowded, record: Self.record).map(\.result) == [.permerror])
  }

  @Test("a signature may cover another one, and itself never") func nested() throws {
    #expect(verify(try Self.signed(Self.tags + ":dkim-signature"), record: Self.record).map(\.result) == [.pass])
    let inner = try Self.signed(Self.tags)
    let outer = try Self.signed(Self.tags + ":dkim-signature", inner)
    #expect(verify(outer, record: Self.record).map(\.result) == [.pass, .pass])
    #expect(
      verify(outer.replacing(Array("s=s; h=from:to; bh".utf8), with: Array("s=s; h=from:to;  bh".utf8)), record: Self.record).map(
        \.result) == [.fail, .fail])
  }
}
