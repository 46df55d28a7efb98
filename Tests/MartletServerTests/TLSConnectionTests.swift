import Glibc
import Logging
import NIOCore
import NIOPosix
import Outside
import Synchronization
import Testing

@testable import MartletServer

/// TLS over real sockets: our dialer with our listener, `openssl s_client`, and peers that misbehave.
@Suite struct TLSConnectionTests {
  /// A session that speaks a little SMTP: greets, offers TLS, then echoes lines; its outcome is told to `outcomes`.
  static func session(
    _ connection: Connection, context: OpenSSLContext, isImplicit: Bool, _ outcomes: Outcomes
  ) async {
    let deadline = SystemClock().monotonic().advanced(by: .seconds(20))
    connection.output.writeString("220 hello\r\n")
    if !isImplicit {
      // As s_client expects it: EHLO, then STARTTLS.
      while true {
        guard await connection.receive(until: deadline) == .data else { return }
        let line = connection.input.readString(length: connection.input.readableBytes) ?? ""
        if line.hasPrefix("STARTTLS\r\n") {
          connection.input.writeString(String(line.dropFirst(10)))
          break
        }
        connection.output.writeString("250-hello\r\n250 STARTTLS\r\n")
      }
      connection.output.writeString("220 go\r\n")
      let outcome = await connection.startTLS(TLSRequest(role: .server, context: context), until: deadline)
      outcomes.add(outcome)
      guard case .established = outcome else { return }
    }
    while await connection.receive(until: deadline) == .data {
      var input = connection.input
      connection.input = ByteBuffer()
      connection.output.writeBuffer(&input)
      guard await connection.drain(until: deadline) else { return }
    }
  }

  final class Outcomes: Sendable {
    private let held = Mutex<[TLSOutcome]>([])
    var all: [TLSOutcome] { held.withLock { $0 } }
    func add(_ outcome: TLSOutcome) { held.withLock { $0.append(outcome) } }
  }

  /// Runs `body` with the port of a server, then stops it.
  static func withServer(
    isImplicit: Bool, certificate: String = "good", _ body: (ServerLoops, Endpoint, Outcomes, Listener) async throws -> Void
  ) async throws {
    let loops = ServerLoops()
    let context = try TLSStreamTests.server(certificate)
    let outcomes = Outcomes()
    var options = ListenerOptions(name: "test", implicitTLS: isImplicit ? context : nil)
    options.limits.shutdownTime = .zero
    let socket = try ListeningSocket.bind(try #require(Endpoint("127.0.0.1:0")))
    let listener = try await Listener.start(on: socket, options: options, loops: loops, logger: Logger(label: "test")) {
      connection in
      await session(connection, context: context, isImplicit: isImplicit, outcomes)
    }
    try await body(loops, listener.endpoint, outcomes, listener)
    await listener.stop()
    await loops.shutdown()
  }

  @Test("STARTTLS and implicit TLS carry a megabyte there and back", arguments: [true, false])
  func bulk(isImplicit: Bool) async throws {
    try await Self.withServer(isImplicit: isImplicit) { loops, endpoint, _, _ in
      let client = try TLSStreamTests.client()
      let deadline = SystemClock().monotonic().advanced(by: .seconds(20))
      await loops.all[0].start {
        guard case .success(let connection) = await NIODialer(loops: loops).connect(to: endpoint, from: nil, until: deadline) else {
          Issue.record("no connection")
          return
        }
        if !isImplicit {
          #expect(await connection.receive(until: deadline) == .data)
          connection.input.clear()
          connection.output.writeString("STARTTLS\r\n")
          #expect(await connection.receive(until: deadline) == .data)
          connection.input.clear()
        }
        let role = TLSRequest.Role.client(serverName: "mx.example.test", verifyName: "mx.example.test")
        let outcome = await connection.startTLS(TLSRequest(role: role, context: client), until: deadline)
        guard case .established(let facts) = outcome else {
          Issue.record("\(outcome)")
          return
        }
        #expect(facts.isPeerVerified && facts.cipher == "TLS_AES_256_GCM_SHA384")
        let before = connection.bytesReceived
        connection.output.writeRepeatingByte(7, count: 1_000_000)
        let wanted = before + 1_000_000 + (isImplicit ? 11 : 0)
        while connection.bytesReceived < wanted {
          guard await connection.receive(until: deadline) == .data else { break }
          connection.input.clear()
        }
        #expect(connection.bytesReceived == wanted)
        connection.close()
      }.value
    }
  }

  @Test("openssl s_client talks to us with 1.2 and 1.3, is refused with 1.1, and can't renegotiate")
  func openssl() async throws {
    try await Self.withServer(isImplicit: false) { _, endpoint, outcomes, _ in
      let run = "openssl s_client -connect \(endpoint) -starttls smtp -CAfile \(Certificates.path("ca.pem")) -verify_return_error"
      let modern = await Self.shell("(echo marker; sleep 0.3) | \(run) -tls1_3 2>&1")
      #expect(modern.contains("TLS_AES_256_GCM_SHA384") && modern.contains("Verify return code: 0"))
      let older = await Self.shell("(echo marker; sleep 0.3; echo R; sleep 0.3) | timeout 2 \(run) -tls1_2 2>&1")
      #expect(older.contains("ECDHE-ECDSA-AES256-GCM-SHA384"), "\(older)")
      #expect(older.contains("Secure Renegotiation IS supported"))
      #expect(older.contains("no renegotiation"), "\(older)")
      let old = await Self.shell("echo marker | \(run) -tls1_1 -cipher ALL:@SECLEVEL=0 2>&1")
      #expect(!old.contains("marker"))
      #expect(outcomes.all.count == 3)
      let established = outcomes.all.compactMap { if case .established(let facts) = $0 { facts.version } else { nil } }
      #expect(established == ["TLSv1.3", "TLSv1.2"])
    }
  }

  @Test("commands that came with STARTTLS in clear stop the switch")
  func injection() async throws {
    try await Self.withServer(isImplicit: false) { _, endpoint, outcomes, listener in
      let text = try Self.exchange(endpoint, ["STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n"])
      #expect(text.hasSuffix("220 go\r\n"))
      #expect(outcomes.all == [.inputNotEmpty])
      while listener.counts.open > 0 { await Task.yield() }
    }
  }

  @Test("garbage, an endless handshake and a close in the middle end the connection")
  func hostile() async throws {
    try await Self.withServer(isImplicit: true) { _, endpoint, _, listener in
      _ = try Self.exchange(endpoint, ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
      // Handshake records whose message never ends: a ClientHello that says it is 120,000 octets long.
      var hello: [UInt8] = [22, 3, 1, 0x40, 0, 1, 1, 0xD4, 0xC0] + [UInt8](repeating: 3, count: 16_380)
      for _ in 0..<9 { hello += [22, 3, 1, 0x40, 0] + [UInt8](repeating: 3, count: 16_384) }
      _ = try Self.exchange(endpoint, [hello])
      _ = try Self.exchange(endpoint, [[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]], thenClose: true)
      while listener.counts.failedHandshakes < 3 || listener.counts.open > 0 { await Task.yield() }
      #expect(listener.counts.failedHandshakes == 3)
    }
  }

  @Test("a client that hangs in the handshake is cut when its time is over")
  func silent() async throws {
    let loops = ServerLoops()
    var options = ListenerOptions(name: "test", implicitTLS: try TLSStreamTests.server())
    options.limits.handshakeTime = .milliseconds(150)
    let socket = try ListeningSocket.bind(try #require(Endpoint("127.0.0.1:0")))
    let listener = try await Listener.start(on: socket, options: options, loops: loops, logger: Logger(label: "test")) { _ in
      Issue.record("a session without TLS")
    }
    #expect(try Self.exchange(listener.endpoint, []) == "")
    #expect(listener.counts.failedHandshakes == 1)
    await listener.stop()
    await loops.shutdown()
  }

  // MARK: Blocking peers

  static func exchange(_ endpoint: Endpoint, _ parts: [String]) throws -> String {
    try exchange(endpoint, parts.map { Array($0.utf8) })
  }

  /// Connects, sends, and reads to the end.
  static func exchange(_ endpoint: Endpoint, _ parts: [[UInt8]], thenClose: Bool = false) throws -> String {
    let (family, address, length) = try #require(endpoint.socketAddressBytes)
    let descriptor = socket(family, CInt(SOCK_STREAM.rawValue), 0)
    defer { Glibc.close(descriptor) }
    let connected = address.withUnsafeBytes { bytes in
      bytes.baseAddress.map { connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    #expect(connected == 0)
    for part in parts { _ = send(descriptor, part, part.count, CInt(MSG_NOSIGNAL)) }
    if thenClose { return "" }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  /// Runs a command on a thread of its own, and gives what it wrote.
  static func shell(_ command: String) async -> String {
    let worker = ThreadWorker(named: "shell")
    return await withCheckedContinuation { continuation in
      worker.submit {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        if let pipe = popen(command, "r") {
          while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            text += buffer[..<count]
          }
          pclose(pipe)
        }
        continuation.resume(returning: String(decoding: text, as: UTF8.self))
      }
    }
  }
}
