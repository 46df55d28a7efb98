import NIOCore
import Outside
import Testing

@testable import MartletServer

/// Both sides of TLS in one process, without sockets.
@Suite struct TLSStreamTests {
  static func server(_ name: String = "good") throws -> OpenSSLContext {
    try OpenSSLContext.server(certificate: Certificates.path("\(name).pem"), key: Certificates.path("\(name).key"))
  }

  static func client() throws -> OpenSSLContext {
    try OpenSSLContext.client(trust: .file(Certificates.path("ca.pem")))
  }

  /// Shakes hands, moving at most `piece` octets at a time; returns how each side ended.
  static func shake(
    _ client: OpenSSLStream, _ server: OpenSSLStream, piece: Int = .max
  ) -> (OpenSSLStream.Progress, OpenSSLStream.Progress) {
    var clientState = client.handshake()
    var serverState = OpenSSLStream.Progress.wantsMore
    for _ in 0..<10 {
      serverState = move(client.takeOutgoing(), into: server, piece, serverState)
      clientState = move(server.takeOutgoing(), into: client, piece, clientState)
    }
    return (clientState, serverState)
  }

  static func move(
    _ bytes: ByteBuffer, into side: OpenSSLStream, _ piece: Int, _ state: OpenSSLStream.Progress
  ) -> OpenSSLStream.Progress {
    var bytes = bytes
    var state = state
    while bytes.readableBytes > 0 {
      guard let slice = bytes.readSlice(length: min(piece, bytes.readableBytes)) else { break }
      side.receive(slice)
      if state == .wantsMore { state = side.handshake() }
    }
    return state
  }

  static func pair(
    server: OpenSSLContext, serverName: String? = "mx.example.test", verifyName: String? = nil
  ) throws -> (OpenSSLStream, OpenSSLStream) {
    let role = TLSRequest.Role.client(serverName: serverName, verifyName: verifyName)
    return (
      try #require(OpenSSLStream(TLSRequest(role: role, context: client()))),
      try #require(OpenSSLStream(TLSRequest(role: .server, context: server)))
    )
  }

  @Test(
    "a verified handshake yields version, IANA cipher name, SNI and verification, also byte by byte", arguments: [1, 7, 100_000])
  func verified(piece: Int) throws {
    let (client, server) = try Self.pair(server: Self.server(), verifyName: "mx.example.test")
    let (left, right) = Self.shake(client, server, piece: piece)
    #expect(left == .done && right == .done)
    #expect(client.facts().version == "TLSv1.3")
    #expect(client.facts().cipher == "TLS_AES_256_GCM_SHA384")
    #expect(client.facts().isPeerVerified)
    #expect(server.facts().serverName == "mx.example.test")
  }

  @Test("plaintext passes whole in both directions, in records split anywhere", arguments: [1, 1_000, 100_000])
  func passes(piece: Int) throws {
    let (client, server) = try Self.pair(server: Self.server())
    _ = Self.shake(client, server)
    for (from, to) in [(client, server), (server, client)] {
      let size = piece == 1 ? 3_000 : 200_000
      let sent = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      #expect(from.write(sent))
      var bytes = from.takeOutgoing()
      var plain = ByteBuffer()
      while let slice = bytes.readSlice(length: min(piece, bytes.readableBytes)), slice.readableBytes > 0 {
        to.receive(slice)
        #expect(to.read(into: &plain) == .wantsMore)
      }
      #expect(plain == sent)
    }
  }

  @Test("a wrong name, an expired and an unknown certificate fail when the name must be verified, and say why")
  func refused() throws {
    for (certificate, name, reason) in [
      ("good", "other.example.test", "hostname mismatch"), ("good", "a.b.wild.test", "hostname mismatch"),
      ("expired", "mx.example.test", "certificate has expired"), ("self", "self.example.test", "self-signed certificate"),
    ] {
      let (client, server) = try Self.pair(server: Self.server(certificate), serverName: name, verifyName: name)
      guard case (.failed(let text), _) = Self.shake(client, server) else {
        Issue.record("\(certificate) was taken for \(name)")
        continue
      }
      #expect(text.lowercased().contains(reason), "\(text)")
    }
  }

  @Test("an opportunistic handshake takes any certificate and tells what is wrong with it")
  func opportunistic() throws {
    for (certificate, name, reason) in [
      ("good", "other.example.test", "hostname mismatch"), ("expired", "mx.example.test", "certificate has expired"),
      ("self", "self.example.test", "self-signed certificate"),
    ] {
      let (client, server) = try Self.pair(server: Self.server(certificate), serverName: name)
      #expect(Self.shake(client, server) == (.done, .done))
      #expect(!client.facts().isPeerVerified)
      #expect(client.facts().verificationProblem?.lowercased().contains(reason) == true)
    }
    let (client, server) = try Self.pair(server: Self.server(), serverName: "x.wild.test")
    #expect(Self.shake(client, server) == (.done, .done))
    #expect(client.facts().isPeerVerified)
  }

  @Test("an address is verified as an address and never sent as a name")
  func address() throws {
    let (client, server) = try Self.pair(server: Self.server(), serverName: "127.0.0.1", verifyName: "127.0.0.1")
    #expect(Self.shake(client, server) == (.done, .done))
    #expect(client.facts().isPeerVerified)
    #expect(server.facts().serverName == nil)
  }

  @Test("garbage instead of a handshake fails at once, and leaves the next handshake of the thread alone")
  func garbage() throws {
    for text in ["EHLO evil\r\nMAIL FROM:<>\r\n", "\u{16}\u{3}\u{1}", String(repeating: "\0", count: 20_000)] {
      let server = try #require(OpenSSLStream(TLSRequest(role: .server, context: Self.server())))
      server.receive(ByteBuffer(string: text))
      let progress = server.handshake()
      if text.utf8.count > 5 {
        guard case .failed = progress else {
          Issue.record("\(text.prefix(10)) was taken")
          continue
        }
      }
    }
    let (client, server) = try Self.pair(server: Self.server())
    #expect(Self.shake(client, server) == (.done, .done))
  }

  @Test("after close_notify what comes is ignored; a flipped bit ends the connection")
  func ends() throws {
    var (client, server) = try Self.pair(server: Self.server())
    _ = Self.shake(client, server)
    #expect(client.write(ByteBuffer(string: "last")))
    client.shutdown()
    var bytes = client.takeOutgoing()
    bytes.writeString("injected")
    server.receive(bytes)
    var plain = ByteBuffer()
    #expect(server.read(into: &plain) == .closed)
    #expect(String(buffer: plain) == "last")
    #expect(server.write(ByteBuffer(string: "still")))

    (client, server) = try Self.pair(server: Self.server())
    _ = Self.shake(client, server)
    #expect(client.write(ByteBuffer(string: "secret")))
    var broken = client.takeOutgoing()
    let last = broken.writerIndex - 1
    let byte = try #require(broken.getInteger(at: last, as: UInt8.self))
    broken.setInteger(byte ^ 1, at: last)
    server.receive(broken)
    plain.clear()
    guard case .failed = server.read(into: &plain) else {
      Issue.record("a forged record was taken")
      return
    }
    #expect(plain.readableBytes == 0)
  }

  @Test(
    "a missing, broken or foreign file stops the context with its name and a reason, an expired one is not taken over (HOSTILE 64)")
  func files() throws {
    func reason(_ certificate: String, _ key: String) -> String {
      do throws(TLSSetupError) {
        _ = try OpenSSLContext.server(certificate: Certificates.path(certificate), key: Certificates.path(key))
        return "taken"
      } catch { return "\(error)" }
    }
    #expect(reason("none.pem", "good.key").hasSuffix("none.pem: No such file or directory"))
    #expect(reason("broken.pem", "good.key").contains("broken.pem: "))
    #expect(reason("good.pem", "broken.pem").contains("broken.pem: "))
    #expect(reason("good.pem", "self.key").contains("does not belong"))
    let context = try Self.server()
    let expiry = try #require(context.expiry)
    #expect(expiry > SystemClock().now())
    #expect(throws: TLSSetupError.self) {
      try context.reload(
        certificate: Certificates.path("expired.pem"), key: Certificates.path("expired.key"), now: SystemClock().now())
    }
    #expect(context.expiry == expiry)
  }
}
