import Glibc
import NIOCore
import Outside
import Testing

@testable import MartletServer

/// Figures for docs/decisions/0001-openssl.md, not a test. Runs when `MARTLET_TLS_BENCH` is set.
@Suite struct TLSBench {
  @Test("measures", .enabled(if: getenv("MARTLET_TLS_BENCH") != nil))
  func measures() throws {
    let context = try TLSStreamTests.server()
    let client = try TLSStreamTests.client()
    func pair() throws -> (OpenSSLStream, OpenSSLStream) {
      let role = TLSRequest.Role.client(serverName: "mx.example.test", verifyName: "mx.example.test")
      return (
        try #require(OpenSSLStream(TLSRequest(role: role, context: client))),
        try #require(OpenSSLStream(TLSRequest(role: .server, context: context)))
      )
    }
    var start = clock()
    let count = 2_000
    for _ in 0..<count {
      let (left, right) = try pair()
      #expect(TLSStreamTests.shake(left, right) == (.done, .done))
    }
    print("handshakes, both sides: \(count * 1_000_000 / (clock() - start))/s of CPU time")

    let (left, right) = try pair()
    _ = TLSStreamTests.shake(left, right)
    let piece = ByteBuffer(repeating: 65, count: 65_536)
    start = clock()
    for _ in 0..<8_000 {
      _ = left.write(piece)
      right.receive(left.takeOutgoing())
      var plain = ByteBuffer()
      _ = right.read(into: &plain)
      #expect(plain.readableBytes == piece.readableBytes)
    }
    print("bulk, encrypted and decrypted: \(8_000 * 65_536 / (clock() - start)) MB/s of CPU time")
  }
}
