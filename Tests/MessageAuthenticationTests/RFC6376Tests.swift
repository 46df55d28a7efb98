import Bytes
import DNSTypes
import Testing

@testable import MessageAuthentication

/// RFC 6376, A.2 and C: a message in the simple form, signed by RSA, and its key.
@Suite struct RFC6376Tests {
  static let message = mail(
    """
    DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
          c=simple/simple; q=dns/txt; i=joe@football.example.com;
          h=Received : From : To : Subject : Date : Message-ID;
          bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
          b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
            4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
            KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
            4bmp/YzhwvcubU4=;
    Received: from client1.football.example.com  [192.0.2.1]
          by submitserver.example.com with SUBMISSION;
          Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
    From: Joe SixPack <joe@football.example.com>
    To: Suzie Q <suzie@shopping.example.net>
    Subject: Is dinner ready?
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
    Message-ID: <20030712040037.46341.5F8J@football.example.com>

    Hi.

    We lost the game. Are you hungry yet?

    Joe.

    """)

  static let record =
    "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa"
    + "7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

  @Test("the example passes") func passes() throws {
    for piece in [nil, 1, 3] {
      let verdict = verify(
        Self.message, [try name("brisbane._domainkey.example.com"): .records([Array(Self.record.utf8)])], piece: piece
      ).first
      #expect(verdict?.result == .pass && verdict?.keyBits == 1_024, "\(verdict?.reason ?? "")")
      #expect(verdict?.signature?.identity == "joe@football.example.com" && verdict?.signature?.isIdentityExact == false)
    }
  }

  @Test("in the simple form one blank more is another message, but for empty lines at its end") func simple() {
    func result(_ old: String, _ new: String) -> DKIMResult? {
      verify(Array(string(Self.message).replacing(old, with: new).utf8), record: Self.record).first?.result
    }
    #expect(result("Subject: Is", "Subject:  Is") == .fail && result("Subject: Is", "subject: Is") == .fail)
    #expect(result("game. Are", "game.  Are") == .fail && result("Joe.\r\n", "Joe. \r\n") == .fail)
    #expect(result("Joe.\r\n", "Joe.\r\n\r\n\r\n") == .pass && result("Joe.\r\n", "Joe.") == .pass)
  }
}
