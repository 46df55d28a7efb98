import Glibc
import Logging
import NIOCore
import Outside
import Testing

@testable import MartletServer

/// A server for measurements, not a test: answers SMTP by the book and throws the mail away. Runs when `MARTLET_DISCARD`
/// names its port, `MARTLET_SECONDS` long; `MARTLET_TLS=1` begins with TLS. Prints its CPU time.
@Suite struct DiscardServer {
  @Test("discards", .enabled(if: getenv("MARTLET_DISCARD") != nil))
  func discards() async throws {
    let port = getenv("MARTLET_DISCARD").flatMap { UInt16(String(cString: $0)) } ?? 0
    let seconds = getenv("MARTLET_SECONDS").flatMap { Int(String(cString: $0)) } ?? 10
    Privileges.prepare()
    let loops = ServerLoops()
    var options = ListenerOptions(name: "discard", implicitTLS: getenv("MARTLET_TLS") == nil ? nil : try TLSStreamTests.server())
    options.limits.connections = 100_000
    let socket = try ListeningSocket.bind(.ip(KnotServer.loopback, port: port))
    let listener = try await Listener.start(
      on: socket, options: options, loops: loops, logger: Logger(label: "discard"), session: Self.session)
    let sleeper = LoopSleeper(loops: loops)
    await sleeper.sleep(until: SystemClock().monotonic().advanced(by: .seconds(seconds)))
    let text = "discard: \(listener.counts) cpu \(clock()) us\n"
    _ = write(2, text, text.utf8.count)
    await listener.stop()
    await loops.shutdown()
  }

  static func session(_ connection: Connection) async {
    let clock = SystemClock()
    connection.output.writeStaticString("220 discard ESMTP\r\n")
    var isData = false
    while true {
      while true {
        let view = connection.input.readableBytesView
        if isData {
          guard let end = Self.endOfData(view) else {
            // Keeps what might be the beginning of the end.
            connection.input.moveReaderIndex(forwardBy: max(0, view.count - 4))
            break
          }
          connection.input.moveReaderIndex(forwardBy: end)
          connection.output.writeStaticString("250 2.0.0 Ok\r\n")
          isData = false
          continue
        }
        guard let newline = view.firstIndex(of: 0x0A) else { break }
        let first = view.first.map { $0 & 0xDF } ?? 0
        connection.input.moveReaderIndex(to: newline + 1)
        switch first {
        case 0x44:
          connection.output.writeStaticString("354 Go\r\n")
          isData = true
        case 0x51:
          connection.output.writeStaticString("221 Bye\r\n")
          return
        default: connection.output.writeStaticString("250 Ok\r\n")
        }
      }
      guard await connection.receive(until: clock.monotonic().advanced(by: .seconds(300))) == .data else { return }
    }
  }

  static func endOfData(_ view: ByteBufferView) -> Int? {
    view.withUnsafeBytes { bytes in
      var index = 4
      while index < bytes.count {
        // Looks at the last byte of the five first, so that most of the text is skipped.
        if bytes[index] == 0x0A && bytes[index - 1] == 0x0D && bytes[index - 2] == 0x2E && bytes[index - 3] == 0x0A {
          return index + 1
        }
        index += bytes[index] == 0x0A || bytes[index] == 0x0D || bytes[index] == 0x2E ? 1 : 3
      }
      return nil
    }
  }
}
