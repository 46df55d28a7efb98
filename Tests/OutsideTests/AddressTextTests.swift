import Outside
import Testing

@Suite struct AddressTextTests {
  @Test(
    "an address reads back as it is written canonically",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1"), ("2001:DB8::1", "2001:db8::1"),
      ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"), ("fe80::", "fe80::"),
      ("::ffff:192.0.2.1", "192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
  func canonical(_ text: String, _ expected: String) {
    #expect(IPAddress(text: text)?.description == expected)
  }

  @Test(
    "what is no address is refused",
    arguments: [
      "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", ":", ":::", "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "12345::", "::g", "fe80::1%eth0", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "[::1]", "1:2:3:4:5:6:7:",
    ])
  func refused(_ text: String) { #expect(IPAddress(text: text) == nil) }

  @Test("an endpoint shows its port, brackets around IPv6")
  func endpoints() throws {
    #expect(Endpoint.ip(try #require(IPAddress(text: "::1")), port: 25).description == "[::1]:25")
    #expect(Endpoint.ip(try #require(IPAddress(text: "192.0.2.1")), port: 25).description == "192.0.2.1:25")
    #expect(Endpoint.unix(path: "/run/x").description == "unix:/run/x")
  }
}
