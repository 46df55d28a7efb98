import Bytes
import DNSTypes
import Outside
import Testing

@Suite struct RecordTests {
  static func wire(_ name: String) -> [UInt8] { DNSName(name)?.wire ?? [] }

  @Test(
    "a name survives both of its forms",
    arguments: [
      ("", "", 1), (".", "", 1), ("Example.ORG", "example.org", 13), ("example.org.", "example.org", 13), ("a\\.b.c", "a\\.b.c", 7),
      ("\\000x", "\\000x", 4), ("_25._tcp.mx", "_25._tcp.mx", 13),
    ])
  func names(text: String, wanted: String, octets: Int) throws {
    let name = try #require(DNSName(text))
    #expect(name.description == wanted)
    #expect(name.wire.count == octets)
    var cursor = ByteCursor(name.wire)
    #expect(DNSName(&cursor) == name && cursor.isAtEnd)
    #expect(DNSName(name.description) == name)
  }

  @Test(
    "what is no name gives nil",
    arguments: [
      "a..b", "..", ".a", "\\", "\\1", "\\25", "\\256", "é", String(repeating: "x", count: 64),
      String(repeating: "abc.", count: 64),
    ])
  func noNames(text: String) { #expect(DNSName(text) == nil) }

  @Test("a name of 255 octets is read, one of 256 is not") func longest() {
    let text = String(repeating: String(repeating: "a", count: 49) + ".", count: 5)
    #expect(DNSName(text + "bbb")?.wire.count == 255)
    #expect(DNSName(text + "bbbb") == nil)
    var cursor = ByteCursor([UInt8](repeating: 1, count: 254) + [0])
    #expect(DNSName(&cursor)?.wire.count == 255)
    var longer = ByteCursor([UInt8](repeating: 1, count: 256) + [0])
    #expect(DNSName(&longer) == nil)
  }

  @Test(
    "a compressed, cut off or endless name gives nil",
    arguments: [[0xC0, 0x0C], [3, 0x61], [1, 0x61], [], [64] + [UInt8](repeating: 0x61, count: 64) + [0]] as [[UInt8]])
  func badWire(bytes: [UInt8]) {
    var cursor = ByteCursor(bytes)
    #expect(DNSName(&cursor) == nil)
  }

  @Test("MX and the null MX") func mx() {
    let record = MXRecord([0, 10] + Self.wire("mx.example.org"))
    #expect(record?.preference == 10 && record?.exchange.description == "mx.example.org" && record?.isNull == false)
    #expect(MXRecord([0, 0, 0])?.isNull == true)
    #expect(MXRecord([0, 10] + Self.wire("a") + [1]) == nil)
    #expect(MXRecord([0]) == nil && MXRecord([0, 10]) == nil)
  }

  @Test("addresses have exactly their octets") func addresses() {
    #expect(AddressRecord.a([192, 0, 2, 1])?.description == "192.0.2.1")
    #expect(AddressRecord.a([192, 0, 2]) == nil && AddressRecord.a([UInt8](repeating: 0, count: 16)) == nil)
    #expect(AddressRecord.aaaa([UInt8](repeating: 0, count: 15) + [1])?.description == "::1")
    #expect(AddressRecord.aaaa([1, 2, 3, 4]) == nil)
  }

  @Test("strings of a TXT record are joined") func txt() {
    #expect(TXTRecord([1, 0x61, 0, 2, 0x62, 0x63])?.text == Array("abc".utf8))
    #expect(TXTRecord([1, 0x61, 0, 2, 0x62, 0x63])?.strings == 3)
    #expect(TXTRecord([]) == nil && TXTRecord([2, 0x61]) == nil)
  }

  @Test("SRV and TLSA") func others() {
    let srv = SRVRecord([0, 1, 0, 2, 0, 25] + Self.wire("a.b"))
    #expect(srv?.port == 25 && srv?.target.description == "a.b" && srv?.weight == 2)
    #expect(TLSARecord([3, 1, 1] + [UInt8](repeating: 7, count: 32))?.isUsable == true)
    #expect(TLSARecord([3, 1, 1] + [UInt8](repeating: 7, count: 31))?.isUsable == false)
    #expect(TLSARecord([0, 1, 1] + [UInt8](repeating: 7, count: 32))?.isUsable == false)
    #expect(TLSARecord([3, 1, 1]) == nil)
  }

  @Test("a host name is told from other names") func hosts() {
    #expect(DNSName("mx-1.example_a.org")?.isHostName == true)
    for text in ["", "-a.b", "a-.b", "a\\.b.c", "a b"] { #expect(DNSName(text)?.isHostName == false) }
  }
}
