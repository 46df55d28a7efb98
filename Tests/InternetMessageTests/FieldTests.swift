import InternetMessage
import Testing

@Suite struct FieldTests {
  static func items(_ text: String) -> [String] {
    AddressList(parsing: Array(text.utf8)).items.map { item in
      switch item.kind {
      case .mailbox: "\(string(item.name))|\(string(item.route))|\(string(item.localPart))|\(string(item.domain))"
      case .groupStart: "{\(string(item.name))"
      case .groupEnd: "}"
      }
    }
  }

  @Test(
    "address lists of RFC 5322, appendix A, and what the world makes of them",
    arguments: [
      ("John Doe <jdoe@machine.example>", ["John Doe||jdoe|machine.example"]),
      ("\"Joe Q. Public\" <john.q.public@example.com>", ["Joe Q. Public||john.q.public|example.com"]),
      ("Who? <one@y.test>, <boss@nil.test>", ["Who?||one|y.test", "||boss|nil.test"]),
      (
        "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
        ["{A Group", "Ed Jones||c|a.test", "||joe|where.test", "John||jdoe|one.test", "}"]
      ),
      ("Undisclosed recipients:;", ["{Undisclosed recipients", "}"]),
      (
        "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete||pete|silly.test"]
      ),
      ("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ["{Hidden recipients", "}"]),
      (
        "Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
        ["Mary Smith|@node.test|mary|example.net", "||jdoe|test.example"]
      ),
      ("user@example.org (Full Name)", ["Full Name||user|example.org"]), ("\"quoted\\\" local\"@x", ["||quoted\" local|x"]),
      ("user", ["||user|"]), ("", []), (",,,", []), ("<>", []), ("a@b@c", ["||a|b@c"]), ("a@[127.0.0.1]", ["||a|[127.0.0.1]"]),
      ("\"a@evil\" <b@good>", ["a@evil||b|good"]), ("=?utf-8?q?x=40y?= <b@good>", ["=?utf-8?q?x=40y?=||b|good"]),
      ("<a@b", ["||a|b"]),
      ("\"unterminated", ["||unterminated|"]), ("((((((", []), ("g: a@b, h: c@d;", ["{g", "||a|b", "||c|d", "}"]),
      ("g: a@b", ["{g", "||a|b", "}"]),
    ])
  func addresses(text: String, wanted: [String]) { #expect(Self.items(text) == wanted, "\(text)") }

  @Test(
    "dates as they are found",
    arguments: [
      ("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706), ("Tue, 1 Jul 2003 10:52:37 +0200", 1_057_049_557),
      ("Thu, 13 Feb 1969 23:32 -0330", -27_723_480),
      ("Thu,\r\n 13\r\n Feb\r\n 1969 23:32\r\n -0330 (Newfoundland Time)", -27_723_480),
      ("21 Nov 97 09:55:06 GMT", 880_106_106), ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706),
      ("1 Jan 1970 00:00:00 +0000", 0),
      ("29 Feb 2000 00:00 EST", 951_800_400), ("1 January 2000 0:0:60 UT", 946_684_859),
      ("01-Jan-2000 00:00:00 +0000", 946_684_800),
      ("31 Dec 9999 23:59:59 +0000", 253_402_300_799), ("1 Jan 100 00:00 Z", 946_684_800),
    ])
  func dates(text: String, seconds: Int64) { #expect(MailDate(parsing: Array(text.utf8))?.seconds == seconds, "\(text)") }

  @Test(
    "HOSTILE 31: what is no date gives nil",
    arguments: [
      "", "32 Jan 2000 00:00 +0000", "0 Jan 2000 00:00 +0000", "1 Jan -1 00:00 +0000", "1 Jan 99999 00:00 +0000",
      "1 Jan 2000 00:00 +9999",
      "30 Feb 2000 00:00 +0000", "29 Feb 1900 00:00 +0000", "1 Jan 2000 24:00 +0000", "1 Jan 2000 00:60 +0000",
      "1 Foo 2000 00:00 +0000",
      "1 Jan 1899 00:00 +0000", "99999999999999999999 Jan 2000", "1 Jan 2000", "((((((((", "1 Jan 2000 00:00 +",
    ])
  func noDates(text: String) { #expect(MailDate(parsing: Array(text.utf8)) == nil, "\(text)") }

  @Test("a date survives its writing, whatever the moment and the zone") func dateRoundTrip() {
    #expect(string(MailDate(seconds: 1_795_566_386).wire) == "Wed, 25 Nov 2026 00:26:26 +0000")
    #expect(string(MailDate(seconds: 0, zoneMinutes: -210).wire) == "Wed, 31 Dec 1969 20:30:00 -0330")
    for seconds in stride(from: Int64(-2_000_000_000), to: 4_000_000_000, by: 86_399 * 37) {
      let date = MailDate(seconds: seconds, zoneMinutes: Int(seconds % 1_440))
      #expect(MailDate(parsing: date.wire) == date)
    }
    for extreme in [Int64.min, .max] { #expect(MailDate(seconds: extreme, zoneMinutes: .max).wire.count == 31 || extreme == .min) }
  }

  @Test(
    "encoded words of RFC 2047, 8, and what breaks its rules",
    arguments: [
      ("=?ISO-8859-1?Q?a?=", "a"), ("=?ISO-8859-1?Q?a?= b", "a b"), ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
      ("=?ISO-8859-1?Q?a?=   =?ISO-8859-2?Q?_b?=", "a b"), ("=?ISO-8859-1?Q?a_b?=", "a b"), ("=?utf-8?B?w6k=?=", "é"),
      ("=?utf-8?B?w6?= =?utf-8?B?qQ==?=", "é"), ("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "é"),
      ("=?iso-8859-15?Q?=A4?=", "€"), ("=?koi8-r?B?8NLJ18XU?=", "Привет"),
      ("=?gb2312?B?xOO6ww==?=", "你好"), ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"), ("=?unknown?q?x=E9?=", "x\u{FFFD}"),
      ("=?utf-8?q?x", "=?utf-8?q?x"),
      ("=?utf-8?x?x?=", "=?utf-8?x?x?="), ("x =?utf-8*en?q?y?= z", "x y z"), ("=?utf-8?q?a=0D=0Ab=00?=", "a b"),
      ("=?=?=?", "=?=?=?"), ("é", "é"),
    ])
  func encodedWords(text: String, wanted: String) { #expect(EncodedWord.decode(Array(text.utf8)) == wanted, "\(text)") }

  @Test("a text survives its encoding, in words of at most 75 octets") func encode() {
    for text in ["plain", "Grüße aus Köln", String(repeating: "日本語😀", count: 40), "=?not?", "tab\there"] {
      let encoded = EncodedWord.encode(text)
      #expect(encoded.split(separator: 0x20).allSatisfy { $0.count <= 75 })
      #expect(EncodedWord.decode(encoded) == text.replacing("\t", with: " "))
    }
  }

  @Test(
    "parameters of RFC 2231",
    arguments: [
      ("text/plain; charset=us-ascii (Plain text)", "charset", "us-ascii"),
      ("text/plain; charset=\"us-ascii\"", "charset", "us-ascii"),
      ("message/external-body; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub\"", "url", "ftp://cs.utk.edu/pub"),
      ("application/x; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***"),
      (
        "application/x; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
        "title", "This is even more ***fun*** isn't it!"
      ),
      ("a/b; x=1; x=2", "x", "1"), ("a/b; name=\"a\\\"b;c\"; y=z", "name", "a\"b;c"),
      ("a/b; name=two words ; y=z", "name", "two words"),
      ("a/b; name=\"=?utf-8?q?=C3=A9?=\"", "name", "é"), ("a/b;;;;name=x", "name", "x"), ("a/b; x*1=b; x*0=a", "x", "ab"),
      ("a/b; x*1=b", "x", nil),
      ("a/b; (c;omment) name (x) = (y) z", "name", "z"), ("a/b; name", "name", nil),
      ("a/b; x*0*=iso-8859-1''%E9; x*1*=%E9", "x", "éé"),
    ] as [(String, String, String?)])
  func parameters(text: String, name: String, wanted: String?) {
    let parsed = ParameterizedValue(parsing: Array(text.utf8))
    let found = parsed.parameters.first { string($0.name) == name }
    #expect(
      found.map { $0.charset == nil ? EncodedWord.decode($0.value) : Charset($0.charset ?? []).decode($0.value) } == wanted,
      "\(text)")
  }

  @Test("1,000,000 parameters are read in one pass, and at most 100 kept") func manyParameters() {
    let text = "a/b" + (0..<100_000).map { "; x*\($0 % 1_000)*=\($0)" }.joined()
    #expect(ParameterizedValue(parsing: Array(text.utf8)).parameters.count <= 100)
    let names = "a/b" + (0..<100_000).map { "; x\($0)=\($0)" }.joined()
    #expect(ParameterizedValue(parsing: Array(names.utf8)).parameters.count == 100)
  }

  @Test(
    "base subjects of RFC 5256",
    arguments: [
      ("Re: hello", "hello"), ("RE:  [list] Fwd: hello (fwd)", "hello"), ("[list] hello", "hello"), ("[list]", "[list]"),
      ("re[2]: hello", "hello"),
      ("[Fwd: hello]", "hello"), ("[a] [b] re: x", "x"), ("Re: ", ""), ("regards", "regards"), ("fw: a  b\tc", "a b c"),
      ("[[[[", "[[[["), ("re", "re"),
      ("Re [x]: y", "y"), ("", ""), ("[fwd: re: [fwd: x]]", "x"),
    ])
  func baseSubjects(subject: String, base: String) { #expect(BaseSubject.of(subject) == base, "\(subject)") }

  @Test("previews of every encoding, without markup") func previews() {
    let html = observe(
      "Content-Type: text/html\n\n<html><style>x{}</style><p>A&nbsp;&amp; <b>B</b>&#233;<!-- c --></p><script>1</script>")
    #expect(html.summary.preview == "A & B é")
    #expect(
      observe("Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=iso-8859-1\n\n4Omo\n").summary.preview == "àé¨")
    #expect(observe("A: b\n\n\(String(repeating: "x y ", count: 1_000))").summary.preview.count == 199)
  }
}
