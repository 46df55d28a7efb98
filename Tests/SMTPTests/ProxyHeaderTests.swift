import NIOCore
import Outside
import Testing

@testable import SMTP

@Suite struct ProxyHeaderTests {
  static func take(_ bytes: [UInt8]) throws(ProxyHeaderError) -> (ProxyHeader?, left: Int) {
    var input = ByteBuffer(bytes: bytes)
    let header = try ProxyHeader.take(from: &input)
    return (header, input.readableBytes)
  }

  static func ip(_ text: String, _ port: UInt16) throws -> Endpoint { .ip(try #require(IPAddress(text)), port: port) }

  static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

  @Test("a header of version 1 is taken, and nothing behind it")
  func version1() throws {
    let found = try Self.take(Array("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\nEHLO".utf8))
    #expect(found.0 == .proxied(source: try Self.ip("192.0.2.1", 56_324), destination: try Self.ip("198.51.100.2", 25)))
    #expect(found.left == 4)
    let six = try Self.take(Array("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n".utf8))
    #expect(six.0 == .proxied(source: try Self.ip("2001:db8::1", 0), destination: try Self.ip("2001:db8::2", 65_535)))
    #expect(try Self.take(Array("PROXY UNKNOWN\r\n".utf8)).0 == .local)
    #expect(try Self.take(Array("PROXY UNKNOWN ffff::1 any thing\r\n".utf8)).0 == .local)
  }

  @Test("a header of version 2 is taken with its TLVs skipped, and nothing behind it")
  func version2() throws {
    let four = Self.signature + [0x21, 0x11, 0, 16, 192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 4, 0, 25, 3, 0, 1, 9]
    let found = try Self.take(four + [0x41])
    #expect(found.0 == .proxied(source: try Self.ip("192.0.2.1", 56_324), destination: try Self.ip("198.51.100.2", 25)))
    #expect(found.left == 1)
    let six =
      Self.signature + [0x21, 0x21, 0, 36] + [UInt8](repeating: 0, count: 15) + [1] + [UInt8](repeating: 0, count: 15) + [
        2, 0, 1, 0, 2,
      ]
    #expect(try Self.take(six).0 == .proxied(source: try Self.ip("::1", 1), destination: try Self.ip("::2", 2)))
    let path = Array("/run/a".utf8) + [UInt8](repeating: 0, count: 102)
    #expect(
      try Self.take(Self.signature + [0x21, 0x31, 0, 216] + path + path).0
        == .proxied(source: .unix(path: "/run/a"), destination: .unix(path: "/run/a")))
    #expect(try Self.take(Self.signature + [0x20, 0, 0, 0]).0 == .local)
    #expect(try Self.take(Self.signature + [0x21, 0, 0, 3, 1, 2, 3]).0 == .local)
  }

  @Test("each beginning of a header asks for more, and takes nothing")
  func beginnings() throws {
    let headers = [
      Array("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n".utf8),
      Self.signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 4, 0, 25],
    ]
    for header in headers {
      for length in 0..<header.count {
        let found = try Self.take(Array(header.prefix(length)))
        #expect(found.0 == nil && found.left == length)
      }
      #expect(try Self.take(header).0 != nil)
    }
  }

  @Test(
    "HOSTILE 13: what is malformed or too long is an error, and takes nothing",
    arguments: [
      "EHLO c\r\n", "PROXX", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
      "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n",
      "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
      "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "\n",
      "PROXY UNKNOWNX\r\n", "PROXY TCP4 1.2.3.999 1.2.3.4 1 2\r\n",
    ])
  func malformed(text: String) { #expect(throws: ProxyHeaderError.malformed) { try Self.take(Array(text.utf8)) } }

  @Test("HOSTILE 13: headers beyond 107 octets and 2,048 octets are refused at once")
  func tooLong() {
    #expect(throws: ProxyHeaderError.tooLong) { try Self.take(Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 0x41, count: 93)) }
    #expect(throws: ProxyHeaderError.tooLong) { try Self.take(Self.signature + [0x21, 0x11, 0xFF, 0xFF]) }
    #expect(throws: ProxyHeaderError.malformed) { try Self.take(Self.signature + [0x11]) }
    #expect(throws: ProxyHeaderError.malformed) { try Self.take(Self.signature + [0x22]) }
    #expect(throws: ProxyHeaderError.malformed) { try Self.take(Self.signature + [0x21, 0x41]) }
    #expect(throws: ProxyHeaderError.malformed) { try Self.take(Self.signature + [0x21, 0x12, 0, 0]) }
    #expect(throws: ProxyHeaderError.malformed) { try Self.take(Self.signature + [0x21, 0x11, 0, 4, 1, 2, 3, 4]) }
  }
}
