import Glibc
import Logging
import Outside
import Testing

@testable import MartletServer

/// Runs as a process of its own, since it takes all descriptors.
@Suite struct ExhaustionTests {
  @Test("without descriptors accepting rests, the next in line is told, and everything goes on afterwards (HOSTILE 60)")
  func descriptors() async throws {
    let text = await TLSConnectionTests.shell(
      "MARTLET_EXHAUST=1 /proc/\(getpid())/exe --testing-library swift-testing --filter ExhaustedProcess 2>&1")
    #expect(text.contains("exhausted and recovered"), "\(text)")
  }
}

@Suite struct ExhaustedProcess {
  @Test("takes all descriptors", .enabled(if: getenv("MARTLET_EXHAUST") != nil))
  func exhausts() async throws {
    let loops = ServerLoops()
    let options = ListenerOptions(name: "test", refusal: { Array("421 4.3.2 try later\r\n".utf8) })
    let listener = try await Listener.start(
      on: try ListeningSocket.bind(.ip(KnotServer.loopback, port: 0)), options: options, loops: loops,
      logger: Logger(label: "test")
    ) { $0.output.writeString("220 hello\r\n") }
    // Connected first, while there are descriptors for it; the server's ends come from the same table.
    #expect(try Peer(listener.endpoint).rest() == "220 hello\r\n")
    let waiting = (0..<3).map { _ in socketOnly() }
    var taken: [CInt] = []
    while true {
      let descriptor = dup(1)
      if descriptor < 0 { break }
      taken.append(descriptor)
    }
    for peer in waiting { connect(peer, to: listener.endpoint) }
    #expect(read(waiting[0]).contains("421 4.3.2"))
    #expect(listener.counts.refused >= 1)
    for descriptor in taken { close(descriptor) }
    #expect(try Peer(listener.endpoint).rest() == "220 hello\r\n")
    for peer in waiting { close(peer) }
    await listener.stop()
    await loops.shutdown()
    print("exhausted and recovered")
  }

  private func socketOnly() -> CInt { socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0) }

  private func connect(_ descriptor: CInt, to endpoint: Endpoint) {
    guard let (_, address, length) = endpoint.socketAddressBytes else { return }
    address.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      _ = Glibc.connect(descriptor, base.assumingMemoryBound(to: sockaddr.self), length)
    }
  }

  private func read(_ descriptor: CInt) -> String {
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
