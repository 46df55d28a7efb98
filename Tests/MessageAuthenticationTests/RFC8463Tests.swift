import Bytes
import DNSTypes
import Outside
import Testing

@testable import MessageAuthentication

/// RFC 8463, A: a message signed with both algorithms, whose keys are known.
@Suite struct RFC8463Tests {
  static let message = mail(
    """
    DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
     d=football.example.com; i=@football.example.com;
     q=dns/txt; s=brisbane; t=1528637909; h=from : to :
     subject : date : message-id : from : subject : date;
     bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
     b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
     Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
    DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
     d=football.example.com; i=@football.example.com;
     q=dns/txt; s=test; t=1528637909; h=from : to : subject :
     date : message-id : from : subject : date;
     bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
     b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
     DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
     dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
    From: Joe SixPack <joe@football.example.com>
    To: Suzie Q <suzie@shopping.example.net>
    Subject: Is dinner ready?
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
    Message-ID: <20030712040037.46341.5F8J@football.example.com>

    Hi.

    We lost the game.  Are you hungry yet?

    Joe.


    """)

  static let edRecord = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
  static let rsaRecord =
    "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b"
    + "yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"

  static func answers() throws -> [DNSName: DKIMKeyAnswer] {
    [
      try name("brisbane._domainkey.football.example.com"): .records([Array(edRecord.utf8)]),
      try name("test._domainkey.football.example.com"): .records([Array(rsaRecord.utf8)]),
    ]
  }

  @Test("both signatures pass, however the message is cut") func bothPass() throws {
    for piece in [nil, 1, 2, 7, 100] {
      let verdicts = verify(Self.message, try Self.answers(), piece: piece)
      #expect(verdicts.map(\.result) == [.pass, .pass] && verdicts.map(\.keyBits) == [256, 1_024], "\(verdicts)")
      #expect(verdicts.map(\.signature?.identity) == ["@football.example.com", "@football.example.com"])
    }
  }

  @Test("the example's Ed25519 key makes the example's very signature") func sameSignature() throws {
    var splitter = MessageSplitter()
    Self.message.withUnsafeBytes { _ = splitter.take($0) }
    let header = HeaderFields(splitter.header)
    let signature = try DKIMSignature(parsing: Array(header.bytes[header.fields[0].range]))
    let verification = DKIMVerification(header: splitter.header)
    let hash = try #require(verification.headerHash(signature, field: 0))
    let made = try #require(try TestKeys.ed25519.get().sign(hash: hash))
    #expect(
      string(Base64.encode(made)) == "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==")
    #expect(try TestKeys.ed25519.get().record?.text == Self.edRecord)
  }

  @Test("any octet changed that was signed makes both fail") func tampering() throws {
    let answers = try Self.answers()
    let start = try #require(Self.message.firstRange(of: Array("From: Joe".utf8))?.lowerBound)
    for index in start..<Self.message.count - 4
    where !Self.message[index].isASCIIBlank && ![0x0D, 0x0A].contains(Self.message[index]) {
      var changed = Self.message
      // Case of letters in names does not count, so another letter.
      changed[index] = changed[index] == 0x7E ? 0x21 : changed[index] + 1
      let verdicts = verify(changed, answers)
      #expect(verdicts.count == 2 && verdicts.allSatisfy { $0.result != .pass }, "\(index): \(verdicts.map(\.result))")
    }
  }

  @Test("any octet of a signature's own field changed makes it fail") func tamperedField() throws {
    let answers = try Self.answers()
    let end = try #require(Self.message.firstRange(of: Array("DKIM-Signature: v=1; a=rsa".utf8))?.lowerBound)
    for index in 15..<end where !Self.message[index].isASCIIBlank && ![0x0D, 0x0A].contains(Self.message[index]) {
      var changed = Self.message
      changed[index] = changed[index] == 0x7E ? 0x21 : changed[index] + 1
      #expect(verify(changed, answers).first?.result != .pass, "\(index)")
    }
  }

  @Test("what relays do to blanks does no harm to the relaxed form") func relaxed() throws {
    let text = string(Self.message).replacing("Subject: Is dinner", with: "SUBJECT:   Is\r\n\tdinner").replacing(
      "game.  Are", with: "game. \t Are ")
    #expect(verify(Array((text + "\r\n\r\n").utf8), try Self.answers()).map(\.result) == [.pass, .pass])
  }
}
