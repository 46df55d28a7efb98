import Outside
import Testing

@testable import Routing

@Suite struct NextHopTests {
  @Test(
    "a next hop is written as it was read",
    arguments: [
      "smtp://mx.example.net", "smtp://mx.example.net:2600", "smtp://192.0.2.1:2600", "smtp://[2001:db8::1]:2600",
      "smtp://[2001:db8::1]",
      "smtps://mail.example.net", "smtps://mail.example.net:4650?tls=required", "lmtp://127.0.0.1:2400", "lmtp://mail.example.net",
      "lmtp+unix:///run/dovecot/lmtp", "smtp://example.net?mx", "smtp://example.net?mx&tls=required", "smtp://h?tls=none",
      "smtp://us%40er:p%3Ass%2Fw@mail.example.net:587?tls=verified&auth=clear", "lmtp+unix:///run/a%20b",
    ])
  func roundTrip(_ text: String) throws {
    let hop = try NextHop(parsing: text)
    #expect(hop.secretText == text)
    #expect(try NextHop(parsing: hop.secretText) == hop)
  }

  @Test("defaults and spelling are made one")
  func canonical() throws {
    #expect(try NextHop(parsing: "SMTP://MX.Example.NET:25/").name == "smtp://mx.example.net")
    #expect(try NextHop(parsing: "smtp://bücher.example").name == "smtp://xn--bcher-kva.example")
    #expect(try NextHop(parsing: "smtps://h").port == 465)
    #expect(try NextHop(parsing: "smtps://h").tls == .verified)
    #expect(try NextHop(parsing: "lmtp://h").port == 24)
    #expect(try NextHop(parsing: "smtp://h.test.").name == "smtp://h.test")
  }

  @Test("what would be too long to be read again once it is percent-encoded is refused")
  func longWhenEncoded() throws {
    #expect(throws: NextHopError.self) { try NextHop(parsing: "smtp://u:" + String(repeating: "ü", count: 50) + "@h") }
    #expect(throws: NextHopError.self) { try NextHop(parsing: "lmtp+unix:///" + String(repeating: "\u{FFFD}", count: 30)) }
    let fits = try NextHop(parsing: "smtp://u:" + String(repeating: "ü", count: 40) + "@h")
    #expect(try NextHop(parsing: fits.secretText) == fits)
  }

  @Test("the name shows no password")
  func name() throws {
    let hop = try NextHop(parsing: "smtp://user:secret@mail.example.net:587")
    #expect(hop.credentials == .init(user: "user", password: "secret"))
    #expect(hop.name == "smtp://user@mail.example.net:587")
    #expect(!"\(NextHopError("x"))".contains("secret"))
  }

  @Test(
    "what is no next hop is refused",
    arguments: [
      "", "example.net", "http://h", "smtp:/h", "smtp://", "smtp://h:0", "smtp://h:65536", "smtp://h:x", "smtp://[::1",
      "smtp://2001:db8::1",
      "smtp://[example.net]", "smtp://a b", "smtp://a_b!", "lmtp+unix://relative", "lmtp+unix:///", "smtp://h?verify",
      "smtp://h?tls=maybe",
      "smtps://h?tls=none", "smtp://[192.0.2.1]?mx", "smtp://:p@h", "smtp://%zz@h", "smtp://a%0d%0ab@h", "smtp://h..x",
      "lmtp://8.8.1.80.", "smtp://10.0.0.256",
      "lmtp+unix:///" + String(repeating: "x", count: 107), "smtp://" + String(repeating: "a.", count: 130) + "b",
    ])
  func refused(_ text: String) {
    #expect(throws: NextHopError.self) { try NextHop(parsing: text) }
  }
}

@Suite struct RouteTableTests {
  private func table(_ entries: [(String, String)]) throws -> RouteTable {
    try RouteTable(entries.map { .init(pattern: $0.0, nextHop: try NextHop(parsing: "smtp://" + $0.1)) })
  }

  @Test(
    "exact wins over suffix, long over short, * is last",
    arguments: [
      ("example.net", "exact"), ("a.example.net", "short"), ("b.a.example.net", "long"), ("c.b.a.example.net", "long"),
      ("x.example.net", "inner"), ("example.org", "all"), ("[192.0.2.1]", "all"), ("notexample.net", "all"),
    ])
  func longest(_ domain: String, _ expected: String) throws {
    let table = try table([
      ("*", "all"), (".example.net", "short"), (".a.example.net", "long"), ("example.net", "exact"), ("X.Example.NET", "inner"),
    ])
    #expect(table.nextHop(for: domain)?.name == "smtp://" + expected)
  }

  @Test("without an entry MX decides")
  func nothing() throws {
    #expect(try table([("example.net", "x"), (".example.net", "y")]).nextHop(for: "example.org") == nil)
  }

  @Test("patterns in U-labels match A-labels")
  func international() throws {
    #expect(try table([("bücher.example", "x")]).nextHop(for: "xn--bcher-kva.example") != nil)
  }

  @Test(
    "two routes for one domain, and what is no domain, are refused",
    arguments: [["a.test", "A.test"], ["a b"], ["."], [""], ["*", "*"]])
  func bad(_ patterns: [String]) {
    #expect(throws: RouteTable.PatternError.self) { try table(patterns.map { ($0, "h") }) }
  }
}
