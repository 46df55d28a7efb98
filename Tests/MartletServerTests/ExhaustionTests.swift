import Glibc
import Logging
import Outside
import Synchronization
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

  @Test("where the kernel gives no random numbers, or few at a time, they come from the device (HOSTILE 60)")
  func noEntropy() {
    let calls = Atomic<Int>(0)
    let refused = SystemRandom(
      kernel: { _, _ in
        calls.add(1, ordering: .relaxed)
        errno = [EINTR, ENOSYS, EPERM][calls.load(ordering: .relaxed) % 3]
        return -1
      }, device: "/dev/urandom")
    #expect(Set((0..<1_000).map { _ in refused.next() }).count == 1_000)
    let scanty = SystemRandom(
      kernel: { place, wanted in
        place?.storeBytes(of: 0xAA, as: UInt8.self)
        return min(wanted, 1)
      }, device: "/nonexistent")
    #expect(scanty.next() == 0xAAAA_AAAA_AAAA_AAAA)
  }

  @Test("without any random numbers the process ends as one that is to be started again, and makes none up (HOSTILE 60)")
  func noDevice() async {
    await #expect(processExitsWith: .exitCode(75)) {
      _ = SystemRandom(
        kernel: { _, _ in
          errno = ENOSYS
          return -1
        }, device: "/nonexistent"
      ).next()
    }
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
