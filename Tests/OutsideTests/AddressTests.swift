import Outside
import Testing

@Suite struct AddressTests {
  @Test(
    "an address is written as RFC 5952 says",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("2001:0db8::0001", "2001:db8::1"),
      ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
      ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
      ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
      ("2001:DB8::A", "2001:db8::a"), ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("fe80::1", "fe80::1"),
      ("::ffff:192.0.2.1", "192.0.2.1"),
      ("::ffff:c000:201", "192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
      ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("0:0:0:0:0:0:0:0", "::"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ])
  func canonical(text: String, wanted: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == wanted)
    #expect(IPAddress(address.description) == address)
  }

  @Test(
    "what is not an address gives nil",
    arguments: [
      "", ".", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3", "0x1.2.3.4", ":", ":::", "1::2::3",
      "12345::",
      "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1%eth0", "[::1]", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1:", ":1", "g::",
      "1:2:3:4:5:6:7:8::",
      "::1.2.3.4:5", "-1.2.3.4", "999999999999999999999.1.1.1", "::12345.1.1.1", "1.2.3.4\0",
    ])
  func refused(text: String) { #expect(IPAddress(text) == nil) }

  @Test("every IPv6 address survives its text") func roundTrip() {
    var state: UInt64 = 1
    for _ in 0..<2_000 {
      var bytes: [UInt8] = []
      for _ in 0..<16 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let byte = UInt8(truncatingIfNeeded: state >> 33)
        bytes.append(state >> 60 < 9 ? 0 : byte)
      }
      let address = IPAddress(bytes: bytes)
      #expect(address != nil && IPAddress(address?.description ?? "") == address)
    }
  }

  @Test("a network contains its own addresses and no others") func networks() throws {
    let network = try #require(NetworkPrefix("192.0.2.128/25"))
    #expect(network.contains(try #require(IPAddress("192.0.2.128"))))
    #expect(network.contains(try #require(IPAddress("192.0.2.255"))))
    #expect(!network.contains(try #require(IPAddress("192.0.2.127"))))
    #expect(!network.contains(try #require(IPAddress("::c000:280"))))
    #expect(network.contains(try #require(IPAddress("::ffff:192.0.2.200"))))
    let six = try #require(NetworkPrefix("2001:db8:8000::/33"))
    #expect(six.contains(try #require(IPAddress("2001:db8:ffff::1"))))
    #expect(!six.contains(try #require(IPAddress("2001:db8:7fff::1"))))
    #expect(try #require(NetworkPrefix("0.0.0.0/0")).contains(try #require(IPAddress("255.1.1.1"))))
    #expect(NetworkPrefix("::ffff:10.0.0.0/104")?.description == "10.0.0.0/8")
    #expect(NetworkPrefix("::1")?.description == "::1/128")
  }

  @Test(
    "an unclear network gives nil",
    arguments: [
      "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "/8", "192.0.2.0/8/8", "2001:db8::/129", "2001:db8::1/64",
      "::ffff:1.2.3.4/95",
    ])
  func unclear(text: String) { #expect(NetworkPrefix(text) == nil) }

  @Test("one client is one IPv4 address or one /64") func client() throws {
    #expect(try #require(IPAddress("2001:db8:1:2:3:4:5:6")).clientNetwork.description == "2001:db8:1:2::/64")
    #expect(try #require(IPAddress("192.0.2.7")).clientNetwork.description == "192.0.2.7/32")
  }

  @Test(
    "only addresses of the public internet are public",
    arguments: [
      ("8.8.8.8", true), ("127.0.0.1", false), ("10.1.2.3", false), ("172.31.0.1", false), ("172.32.0.1", true),
      ("169.254.1.1", false),
      ("0.0.0.0", false), ("224.0.0.1", false), ("255.255.255.255", false), ("::1", false), ("::", false), ("2606:4700::1", true),
      ("fe80::1", false), ("fd00::1", false), ("::ffff:127.0.0.1", false), ("64:ff9b::7f00:1", false), ("64:ff9b::808:808", true),
      ("2002:7f00:1::", false), ("100.64.0.1", false),
    ])
  func publicity(text: String, isPublic: Bool) throws { #expect(try #require(IPAddress(text)).isPublic == isPublic) }

  @Test("the name of the PTR record") func reverse() throws {
    #expect(try #require(IPAddress("192.0.2.1")).reverseName == "1.2.0.192.in-addr.arpa")
    let six = try #require(IPAddress("2001:db8::567:89ab")).reverseName
    #expect(six == "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
  }

  @Test("an endpoint survives its text", arguments: ["127.0.0.1:25", "[::1]:2525", "unix:/run/x"])
  func endpoints(text: String) { #expect(Endpoint(text)?.description == text) }

  @Test(
    "what is not an endpoint gives nil",
    arguments: ["", "127.0.0.1", "::1:25", "[127.0.0.1]:25", "127.0.0.1:65536", "127.0.0.1:", "[::1]", "unix:", "x:1"])
  func noEndpoints(text: String) { #expect(Endpoint(text) == nil) }
}
