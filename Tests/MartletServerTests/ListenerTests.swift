import Glibc
import Logging
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MartletServer

@Suite struct ListenerTests {
  static func unixEndpoint(_ name: String) throws -> Endpoint {
    try #require(Endpoint("unix:/tmp/martlet-\(getpid())-\(name)"))
  }

  static func start(
    _ endpoint: Endpoint, _ options: ListenerOptions = ListenerOptions(name: "test"), _ session: @escaping Listener.Session
  ) async throws -> (Listener, ServerLoops) {
    let loops = ServerLoops()
    let listener = try await Listener.start(
      on: try ListeningSocket.bind(endpoint, unixMode: 0o622), options: options, loops: loops, logger: Logger(label: "test"),
      session: session)
    return (listener, loops)
  }

  @Test("a Unix socket has its mode; a stale file is replaced, a live one and other files are not")
  func unix() async throws {
    let endpoint = try Self.unixEndpoint("socket")
    guard case .unix(let path) = endpoint else { return }
    defer { unlink(path) }
    try ListeningSocket.bind(endpoint).close()
    let (listener, loops) = try await Self.start(endpoint) { connection in
      #expect(connection.local == endpoint)
      connection.output.writeString("hello")
    }
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o622)
    #expect(throws: ListenError.self) { try ListeningSocket.bind(endpoint) }
    #expect(try TLSConnectionTests.exchange(endpoint, [String]()) == "hello")
    await listener.stop()
    await loops.shutdown()

    unlink(path)
    close(open(path, O_CREAT | O_WRONLY, 0o600))
    #expect(throws: ListenError.self) { try ListeningSocket.bind(endpoint) }
    #expect(access(path, F_OK) == 0)
  }

  @Test("a second listener of a TCP port is refused with a reason")
  func taken() throws {
    let socket = try ListeningSocket.bind(try #require(Endpoint("[::1]:0")))
    defer { socket.close() }
    do throws(ListenError) {
      _ = try ListeningSocket.bind(socket.endpoint)
      Issue.record("bound twice")
    } catch {
      #expect(error.description == "can't bind \(socket.endpoint): Address already in use")
    }
  }

  @Test("one connection too many is told and closed; the others go on")
  func tooMany() async throws {
    var options = ListenerOptions(name: "test", refusal: { Array("421 4.3.2 too busy\r\n".utf8) })
    options.limits.connections = 1
    options.limits.shutdownTime = .zero
    let (listener, loops) = try await Self.start(try #require(Endpoint("127.0.0.1:0")), options) { connection in
      connection.output.writeString("220 hello\r\n")
      while await connection.receive(until: .never) == .data { connection.input.clear() }
    }
    let first = try Peer(listener.endpoint)
    #expect(first.line() == "220 hello\r\n")
    #expect(try Peer(listener.endpoint).rest() == "421 4.3.2 too busy\r\n")
    #expect(listener.counts.refused == 1 && listener.counts.open == 1)
    await listener.stop()
    await loops.shutdown()
  }

  @Test("at a shutdown sessions say good-bye; one that does not is cut; nobody is accepted any more")
  func shutdown() async throws {
    var options = ListenerOptions(name: "test")
    options.limits.shutdownTime = .milliseconds(300)
    let (listener, loops) = try await Self.start(try #require(Endpoint("127.0.0.1:0")), options) { connection in
      connection.output.writeString("220 hello\r\n")
      var isPolite = true
      while true {
        switch await connection.receive(until: .never) {
        case .data:
          isPolite = false
          connection.input.clear()
          connection.output.writeString("250 noted\r\n")
        case .shutdown:
          if isPolite {
            connection.output.writeString("421 bye\r\n")
            return
          }
        case .closed, .deadline: return
        }
      }
    }
    let polite = try Peer(listener.endpoint)
    let stubborn = try Peer(listener.endpoint)
    #expect(polite.line() == "220 hello\r\n")
    #expect(stubborn.line() == "220 hello\r\n")
    stubborn.send("stay")
    #expect(stubborn.line() == "250 noted\r\n")
    while listener.counts.open < 2 { await Task.yield() }
    await listener.stop()
    #expect(polite.rest() == "421 bye\r\n")
    #expect(stubborn.rest() == "")
    #expect(listener.counts.open == 0)
    await loops.shutdown()
  }

  @Test("replies reach a client that ended its direction, and one that still sends when we close")
  func lastReplies() async throws {
    let (listener, loops) = try await Self.start(try #require(Endpoint("127.0.0.1:0"))) { connection in
      var octets = 0
      while true {
        let wake = await connection.receive(until: .never)
        octets += connection.input.readableBytes
        let mustRefuse = connection.input.readableBytesView.contains(0x21)
        connection.input.clear()
        if mustRefuse {
          connection.output.writeString("500 enough\r\n")
          return
        }
        if wake == .closed {
          connection.output.writeString("250 \(octets)\r\n")
          return
        }
      }
    }
    let finished = try Peer(listener.endpoint)
    finished.send(String(repeating: "x", count: 300_000))
    Glibc.shutdown(finished.descriptor, CInt(SHUT_WR))
    #expect(finished.rest() == "250 300000\r\n")
    for _ in 0..<20 {
      let sender = try Peer(listener.endpoint)
      sender.send("!" + String(repeating: "x", count: 30_000))
      #expect(sender.rest() == "500 enough\r\n")
    }
    await listener.stop()
    await loops.shutdown()
  }

  @Test("a session's deadline comes while the peer is silent, and input grows by one read at most")
  func deadlines() async throws {
    let (listener, loops) = try await Self.start(try #require(Endpoint("127.0.0.1:0"))) { connection in
      let wake = await connection.receive(until: SystemClock().monotonic().advanced(by: .milliseconds(120)))
      connection.output.writeString("\(wake)\n")
      var largest = 0
      while await connection.receive(until: .never) == .data {
        largest = max(largest, connection.input.readableBytes)
        connection.input.clear()
      }
      connection.output.writeString("\(largest <= 65_536)\n")
    }
    let peer = try Peer(listener.endpoint)
    #expect(peer.line() == "deadline\n")
    peer.send(String(repeating: "x", count: 1_000_000))
    Glibc.shutdown(peer.descriptor, CInt(SHUT_WR))
    #expect(peer.rest() == "true\n")
    await listener.stop()
    await loops.shutdown()
  }

  @Test("the dialer says refused, timed out and unreachable, comes from its source, and speaks to Unix sockets")
  func dialing() async throws {
    let endpoint = try Self.unixEndpoint("dial")
    defer { if case .unix(let path) = endpoint { unlink(path) } }
    let (listener, loops) = try await Self.start(endpoint) { $0.output.writeString("unix") }
    let (other, otherLoops) = try await Self.start(try #require(Endpoint("127.0.0.1:0"))) { connection in
      if case .ip(let address, _) = connection.remote { connection.output.writeString("\(address)") }
    }
    let closed = try ListeningSocket.bind(try #require(Endpoint("127.0.0.1:0")))
    closed.close()
    let target = other.endpoint
    await loops.all[0].start {
      let dialer = NIODialer(loops: loops)
      let clock = SystemClock()
      let deadline = clock.monotonic().advanced(by: .seconds(10))
      func text(_ result: Result<Connection, DialError>) async -> String {
        guard case .success(let connection) = result else { return "\(result)" }
        while await connection.receive(until: deadline) == .data {}
        connection.close()
        return connection.input.readString(length: connection.input.readableBytes) ?? ""
      }
      #expect(await text(dialer.connect(to: endpoint, from: nil, until: deadline)) == "unix")
      #expect(await text(dialer.connect(to: target, from: IPAddress("127.0.0.77"), until: deadline)) == "127.0.0.77")
      #expect(await text(dialer.connect(to: closed.endpoint, from: nil, until: deadline)).contains("refused"))
      #expect(await text(dialer.connect(to: target, from: nil, until: clock.monotonic())).contains("timedOut"))
      #expect(await text(dialer.connect(to: target, from: IPAddress("192.0.2.1"), until: deadline)).contains("unreachable"))
      #expect(await text(dialer.connect(to: .unix(path: "/nonexistent"), from: nil, until: deadline)).contains("refused"))
    }.value
    await listener.stop()
    await other.stop()
    await loops.shutdown()
    await otherLoops.shutdown()
  }
}

/// A blocking client.
final class Peer {
  let descriptor: CInt

  init(_ endpoint: Endpoint) throws {
    let (family, address, length) = try #require(endpoint.socketAddressBytes)
    descriptor = socket(family, CInt(SOCK_STREAM.rawValue), 0)
    let connected = address.withUnsafeBytes { bytes in
      bytes.baseAddress.map { connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    #expect(connected == 0)
  }

  deinit { close(descriptor) }

  func send(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }

  func line() -> String {
    var text: [UInt8] = []
    var byte: UInt8 = 0
    while recv(descriptor, &byte, 1, 0) == 1 {
      text.append(byte)
      if byte == 0x0A { break }
    }
    return String(decoding: text, as: UTF8.self)
  }

  func rest() -> String {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }
}
