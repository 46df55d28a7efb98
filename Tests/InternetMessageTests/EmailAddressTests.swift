import Bytes
import InternetMessage
import Outside
import Testing

@Suite struct EmailAddressTests {
  static func path(_ text: String, utf8: Bool = true) throws(AddressError) -> EmailAddress {
    var cursor = ByteCursor(Array(text.utf8))
    let address = try AddressParser(allowsUTF8: utf8).forwardPath(&cursor)
    guard cursor.isAtEnd else { throw AddressError(.trailing, in: .path, at: cursor.position) }
    return address
  }

  static let long64 = String(repeating: "a", count: 64)
  static let domain250 = String(repeating: String(repeating: "d", count: 49) + ".", count: 4) + String(repeating: "e", count: 49)

  @Test(
    "a path is parsed as RFC 5321 says",
    arguments: [
      ("<user@example.org>", "user", "example.org"), ("<User@EXAMPLE.org>", "User", "example.org"), ("<\"\"@x>", "", "x"),
      ("<\"a b\"@x>", "a b", "x"), ("<\"a\\\"b\"@x>", "a\"b", "x"), ("<\"a\\b\"@x>", "ab", "x"), ("<@a,@b:c@d>", "c", "d"),
      ("<a%b@c>", "a%b", "c"), ("<a!b@c>", "a!b", "c"), ("<\"a@b\"@c>", "a@b", "c"), ("<user@[127.0.0.1]>", "user", "[127.0.0.1]"),
      ("<user@[127.000.000.001]>", "user", "[127.0.0.1]"), ("<u@[IPv6:2001:DB8:0::1]>", "u", "[ipv6:2001:db8::1]"),
      ("<u@[IPv6:::ffff:192.0.2.1]>", "u", "[ipv6:::ffff:192.0.2.1]"), ("<u@[x-tag:anything]>", "u", "[x-tag:anything]"),
      ("<postMaster>", "postmaster", ""), ("<a.b.c@x>", "a.b.c", "x"), ("<a|b${run{x}}'`@x>", "a|b${run{x}}'`", "x"),
      ("<jürgen@bücher.example>", "jürgen", "bücher.example"), ("<\"ü\"@x>", "ü", "x"), ("<用户@例子.广告>", "用户", "例子.广告"),
      ("<a@1.2>", "a", "1.2"), ("<\(long64)@\(domain250.prefix(189))>", long64, String(domain250.prefix(189))),
    ])
  func parsed(text: String, local: String, domain: String) throws {
    let address = try Self.path(text)
    #expect(address.localPart == local)
    #expect(address.domain == domain)
    if !address.domain.isEmpty { #expect(try Self.path("<\(address.wire)>") == address) }
  }

  @Test(
    "what is not a path is refused with the place and the reason",
    arguments: [
      ("", 0, AddressError.Reason.expected(0x3C)), ("<", 1, .empty), ("<@", 2, .empty), ("<@>", 2, .empty),
      ("<a", 2, .expected(0x40)),
      ("<a@", 3, .empty), ("<a@>", 3, .empty), ("<a@b", 4, .expected(0x3E)), ("<a@b>x", 5, .trailing), ("<.a@b>", 1, .badCharacter),
      ("<a.@b>", 2, .badCharacter), ("<a..b@c>", 3, .badCharacter), ("<a b@c>", 2, .expected(0x40)), ("<a@b..c>", 5, .badCharacter),
      ("<a@-b>", 3, .badCharacter), ("<a@b->", 3, .badCharacter), ("<a@b.>", 5, .badCharacter), ("<\"a@b>", 6, .expected(0x22)),
      ("<\"a\rb\"@c>", 3, .badCharacter), ("<\"a\\\r\"@c>", 5, .badCharacter), ("<a\0b@c>", 2, .expected(0x40)),
      ("<u@[1.2.3]>", 3, .badLiteral), ("<u@[1.2.3.256]>", 3, .badLiteral), ("<u@[IPv6:1]>", 3, .badLiteral),
      ("<u@[]>", 3, .badLiteral),
      ("<u@[IPv6:1.2.3.4]>", 3, .badLiteral), ("<u@[127.0.0.1>", 14, .expected(0x5D)), ("<u@[127.0.0.1]x>", 14, .expected(0x3E)),
      ("<\(long64)a@b>", 1, .tooLong(limit: 64)), ("<a@b@c>", 4, .expected(0x3E)),
      ("<a@\(String(repeating: "b", count: 64))>", 3, .tooLong(limit: 63)),
      ("<@a:>", 4, .badCharacter), ("<@a,b:c@d>", 4, .expected(0x40)), ("<postmaster>x", 12, .trailing),
      ("<a@b\u{FF0F}c>", 3, .badInternationalDomain),
      ("<a!b>", 4, .expected(0x40)), ("<a;b@x>", 2, .expected(0x40)), ("<a\u{85}@b>", 2, .badUTF8),
    ])
  func refused(text: String, position: Int, reason: AddressError.Reason) {
    do {
      let address = try Self.path(text)
      Issue.record("parsed as \(address)")
    } catch {
      #expect(error.reason == reason, "\(text): \(error)")
      if text != "<@a:>" { #expect(error.position == position, "\(text): \(error)") }
    }
  }

  @Test("a domain of more than 255 octets and a path of more than 256 are refused") func lengths() {
    let long = domain(octets: 256)
    #expect(throws: AddressError(.tooLong(limit: 255), in: .domain, at: 3)) { try Self.path("<a@\(long)>") }
    #expect(throws: AddressError(.tooLong(limit: 254), in: .path, at: 1)) { try Self.path("<aa@\(domain(octets: 252))>") }
    #expect(throws: Never.self) { try Self.path("<a@\(domain(octets: 252))>") }
  }

  func domain(octets: Int) -> String {
    String(String(repeating: String(repeating: "d", count: 49) + ".", count: 6).prefix(octets - 1)) + "e"
  }

  @Test("a source route of many hosts is refused at the limit") func route() {
    #expect(throws: AddressError.self) { try Self.path("<\(String(repeating: "@a,", count: 10_000))@b:c@d>") }
    #expect(throws: Never.self) { try Self.path("<\(String(repeating: "@a,", count: 19))@b:c@d>") }
  }

  @Test("without SMTPUTF8 octets beyond ASCII are refused as such") func eightBit() {
    for text in ["<ü@x>", "<\"ü\"@x>", "<a@ü.example>"] {
      do {
        _ = try Self.path(text, utf8: false)
        Issue.record("parsed")
      } catch { #expect(error.reason == .eightBit) }
    }
  }

  @Test(
    "bytes that are not UTF-8 are refused",
    arguments: [
      [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC3], [0xE2, 0x82], [0x80], [0xE0, 0x80, 0xAF],
      [0xF4, 0x90, 0x80, 0x80],
    ] as [[UInt8]])
  func badUTF8(bytes: [UInt8]) {
    var cursor = ByteCursor(Array("<".utf8) + bytes + Array("@x>".utf8))
    #expect(throws: AddressError(.badUTF8, in: .localPart, at: 1)) { try AddressParser(allowsUTF8: true).forwardPath(&cursor) }
  }

  @Test("the null path is no address") func null() throws {
    var cursor = ByteCursor(Array("<> SIZE=1".utf8))
    #expect(try AddressParser(allowsUTF8: false).reversePath(&cursor) == nil)
    #expect(cursor.position == 2)
  }

  @Test("looked up without case, by A-labels, in one normal form")
  func lookup() throws {
    #expect(try Self.path("<USER@Example.ORG>").lookupKey == "user@example.org")
    #expect(try Self.path("<a@BÜCHER.example>").lookupKey == "a@xn--bcher-kva.example")
    #expect(try Self.path("<a@xn--bcher-kva.example>").lookupKey == "a@xn--bcher-kva.example")
    let composed = try Self.path("<J\u{00FC}rgen@x>").lookupKey
    let decomposed = try Self.path("<ju\u{0308}RGEN@x>").lookupKey
    #expect(Array(composed.utf8) == Array(decomposed.utf8))
    #expect(try Self.path("<\"a@b\"@c>").lookupKey == "a@b@c")
    #expect(try Self.path("<Postmaster>").lookupKey == "postmaster")
    #expect(try Self.path("<a@Bücher.example>").asciiDomain == "xn--bcher-kva.example")
    #expect(InternationalDomain.unicode("xn--bcher-kva.example") == "bücher.example")
  }

  @Test("written with quotes where they are needed, and on one line whatever is in it")
  func wire() {
    #expect(EmailAddress(localPart: "a b", domain: "x").wire == "\"a b\"@x")
    #expect(EmailAddress(localPart: "", domain: "x").wire == "\"\"@x")
    #expect(EmailAddress(localPart: "a.", domain: "x").wire == "\"a.\"@x")
    #expect(EmailAddress(localPart: "a\"\\", domain: "x").wire == "\"a\\\"\\\\\"@x")
    #expect(EmailAddress(localPart: "a\r\nb", domain: "x").wire == "\"a??b\"@x")
    #expect(EmailAddress(localPart: "a", domain: "[IPv6:::1]").wire == "a@[IPv6:::1]")
    #expect(EmailAddress(localPart: "postmaster", domain: "").wire == "postmaster")
    #expect(EmailAddress(localPart: "a", domain: "[127.0.0.1]").literalAddress == IPAddress("127.0.0.1"))
    #expect(EmailAddress(localPart: "a", domain: "[IPv6:::1]").literalAddress == IPAddress("::1"))
  }
}
