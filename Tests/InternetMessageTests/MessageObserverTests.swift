import InternetMessage
import NIOCore
import Testing

/// Observes `bytes` in pieces of `size`.
func observe(_ bytes: [UInt8], pieces size: Int = .max, limits: MessageLimits = .init()) -> MessageObservation {
  var observer = MessageObserver(limits: limits)
  var start = 0
  while start < bytes.count {
    let end = size < bytes.count - start ? start + size : bytes.count
    observer.observe(ByteBuffer(bytes: bytes[start..<end]))
    start = end
  }
  return observer.finish()
}

func observe(_ text: String, pieces size: Int = .max, limits: MessageLimits = .init()) -> MessageObservation {
  observe(Array(text.replacing("\n", with: "\r\n").utf8), pieces: size, limits: limits)
}

func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

@Suite struct MessageObserverTests {
  static let simple = """
    Received: from a by b; Tue, 25 Nov 2026 00:26:26 +0000
    Received: from c by a;
      Tue, 25 Nov 2026 00:26:25 +0000
    From: "Doe, Jane" <jane@example.org>
    To: Bob <bob@example.test>, undisclosed: a@x, b@y;
    Subject: Re: [list] =?utf-8?Q?Gr=C3=BC=C3=9Fe?=
    Date: Mon, 17 Jul 1996 02:44:25 -0700 (PDT)
    Message-ID: <B27397-0100000@cac.washington.edu>
    References: <a@b> <c@d>
    In-Reply-To: <c@d>

    Hello,
      world.
    """ + "\n"

  @Test("envelope, structure and summary of a plain message") func plain() {
    let seen = observe(Self.simple)
    #expect(
      string(seen.summary.envelope) == """
        ("Mon, 17 Jul 1996 02:44:25 -0700 (PDT)" "Re: [list] =?utf-8?Q?Gr=C3=BC=C3=9Fe?=" (("Doe, Jane" NIL "jane" "example.org")) \
        (("Doe, Jane" NIL "jane" "example.org")) (("Doe, Jane" NIL "jane" "example.org")) (("Bob" NIL "bob" "example.test")\
        (NIL NIL "undisclosed" NIL)(NIL NIL "a" "x")(NIL NIL "b" "y")(NIL NIL NIL NIL)) NIL NIL "<c@d>" \
        "<B27397-0100000@cac.washington.edu>")
        """)
    #expect(string(seen.summary.bodyStructure) == #"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 18 2 NIL NIL NIL NIL)"#)
    #expect(seen.summary.messageID == "B27397-0100000@cac.washington.edu")
    #expect(seen.summary.references == ["a@b", "c@d"])
    #expect(seen.summary.subject == "Re: [list] Grüße")
    #expect(seen.summary.baseSubject == "Grüße")
    #expect(seen.summary.sentDate == 837_596_665)
    #expect(seen.summary.from == "Doe, Jane <jane@example.org>")
    #expect(seen.summary.preview == "Hello, world.")
    #expect(!seen.summary.hasAttachment)
    #expect(seen.facts.received == 2 && seen.facts.from == 1 && seen.facts.fromDomain == "example.org" && seen.facts.fields == 9)
    #expect(seen.census.size == Self.simple.replacing("\n", with: "\r\n").utf8.count && seen.census.hops == 2)
    #expect(!seen.census.isBinary && !seen.census.hasEightBitHeader && !seen.census.hasEightBitBody)
    #expect(seen.problem == nil && seen.ambiguities == [])
  }

  static let nested = """
    From: a@x
    Content-Type: multipart/mixed; boundary="outer"
    MIME-Version: 1.0

    preamble
    --outer
    Content-Type: multipart/alternative; boundary=outer2

    --outer2
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: quoted-printable

    Caf=C3=A9
    --outer2
    Content-Type: text/html

    <p>x</p>
    --outer2--
    --outer
    Content-Type: message/rfc822
    Content-Disposition: attachment; filename="a.eml"

    Subject: inner
    From: in@ner

    one
    two
    --outer
    Content-Type: application/pdf; name*=utf-8''%C3%A9.pdf
    Content-Transfer-Encoding: base64
    Content-ID: <id>
    Content-Language: de, en

    AAAA

    --outer--
    """ + "\n"

  @Test("a message of many parts is described with right sizes and lines, however it is cut", arguments: [1, 2, 3, 7, 64, .max])
  func parts(piece: Int) {
    let seen = observe(Self.nested, pieces: piece)
    #expect(
      string(seen.summary.bodyStructure) == """
        ((("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 9 0 NIL NIL NIL NIL)\
        ("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 8 0 NIL NIL NIL NIL) "alternative" ("boundary" "outer2") NIL NIL NIL)\
        ("message" "rfc822" NIL NIL NIL "7bit" 40 \
        (NIL "inner" ((NIL NIL "in" "ner")) ((NIL NIL "in" "ner")) ((NIL NIL "in" "ner")) NIL NIL NIL NIL NIL) \
        ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 1 NIL NIL NIL NIL) 4 NIL ("attachment" ("filename" "a.eml")) NIL NIL)\
        ("application" "pdf" ("name*" "utf-8''%C3%A9.pdf") "<id>" NIL "base64" 6 NIL NIL ("de" "en") NIL) \
        "mixed" ("boundary" "outer") NIL NIL NIL)
        """)
    #expect(seen.summary.preview == "Café")
    #expect(seen.summary.hasAttachment)
    #expect(seen.parts.map(\.depth) == [0, 1, 2, 2, 1, 2, 1])
    #expect(seen.parts.map(\.parent) == [-1, 0, 1, 1, 0, 4, 0])
    #expect(seen.ambiguities == .overlappingBoundary)
    let bytes = Array(Self.nested.replacing("\n", with: "\r\n").utf8)
    #expect(seen.parts.map { string(Array(bytes[$0.bodyStart..<$0.bodyEnd])) }.suffix(2) == ["one\r\ntwo", "AAAA\r\n"])
  }

  @Test("the census tells what a next hop must offer") func census() {
    #expect(observe("Subject: é\n\nx\n").census.hasEightBitHeader)
    #expect(!observe("Subject: é\n\nx\n").census.hasEightBitBody)
    #expect(observe("Subject: e\n\né\n").census.hasEightBitBody)
    #expect(!observe("Subject: e\n\né\n").census.hasEightBitHeader)
    for body in ["a\rb\r\n", "a\nb\r\n", "a\0\r\n", "\r", "a\r\r\n"] {
      #expect(observe(Array("A: b\r\n\r\n\(body)".utf8)).census.isBinary, "\(body.debugDescription)")
      #expect(observe(Array("A: b\r\n\r\n\(body)".utf8), pieces: 1).census.isBinary)
    }
    #expect(
      observe(Array("A: b\r\n\r\n\(String(repeating: "x", count: 998))\r\n".utf8)).census
        == BodyCensus(size: 1_008, longestLine: 998))
    #expect(
      observe(Array("A: b\r\n\r\n\(String(repeating: "x", count: 1_200))\r\n".utf8)).census
        == BodyCensus(size: 1_210, longestLine: 1_200))
    #expect(observe("").census == BodyCensus())
  }

  @Test("a header beyond ASCII is UTF-8 or foreign, however it is cut") func headerCharset() {
    for pieces in [1, 2, 3, 1_000] {
      #expect(!observe(Array("A: é\u{1F600}\r\n\r\n".utf8) + [0xE9], pieces: pieces).census.hasForeignHeader)
      #expect(observe(Array("A: ".utf8) + [0xE9] + Array("\r\n\r\nx".utf8), pieces: pieces).census.hasForeignHeader)
      #expect(observe(Array("A: ".utf8) + [0xC3], pieces: pieces).census.hasForeignHeader)
    }
  }

  @Test("a text without a header is body from its first octet") func noHeader() {
    let seen = observe("hello\nFrom: x@y\n")
    #expect(seen.facts.hasNoHeader && seen.facts.from == 0 && seen.facts.headerOctets == 0)
    #expect(seen.summary.preview == "hello From: x@y")
    #expect(seen.parts.first?.bodyStart == 0 && seen.parts.first?.bodyEnd == 18)
    #expect(!observe("\nbody").facts.hasNoHeader)
    #expect(!observe("From a@b Tue Nov 25 10:20:30 2026\nSubject: x\n\nbody").facts.hasNoHeader)
  }

  @Test("the first of conflicting fields counts, and the conflict is noted") func conflicts() {
    let seen = observe(
      """
      From: a@first
      From: b@second
      Content-Type: text/html; charset=utf-8; charset=latin1
      Content-Type: text/plain

      x
      """)
    #expect(seen.facts.from == 2 && seen.facts.fromDomain == nil)
    #expect(string(seen.summary.envelope).contains("first") && !string(seen.summary.envelope).contains("second"))
    #expect(seen.parts.first?.subtype == "html")
    #expect(seen.ambiguities == [.repeatedField, .repeatedContentField, .repeatedParameter])
    #expect(seen.ambiguityCount == 3)
  }

  @Test("group syntax and several addresses in From are told") func fromFacts() {
    #expect(observe("From: a@x, b@y\n\n").facts.fromAddresses == 2)
    #expect(observe("From: g: a@x;\n\n").facts.fromHasGroup)
    #expect(observe("From: a@[127.0.0.1]\n\n").facts.fromDomain == nil)
    #expect(observe("From: \"a@evil\" <b@good>\n\n").facts.fromDomain == "good")
  }
}
