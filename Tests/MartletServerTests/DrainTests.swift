import Configuration
import Foundation
import Logging
import NIOCore
import Outside
import Synchronization
import Testing

@testable import MartletServer

@Suite struct DrainTests {
  private static func configuration(_ folder: URL) -> Configuration {
    var configuration = Configuration(hostname: "mx.example.test")
    configuration.data = folder.path
    configuration.store.reserve = ByteCount(octets: 0)
    configuration.listeners = [.init(service: .smtp, address: .ip(KnotServer.loopback, port: 0), security: .none)]
    return configuration
  }

  private func withFolder(_ body: (URL) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(folder)
  }

  /// All that a new connection is told until it is closed, or its first line if it is not.
  private func told(by server: Server) async -> String {
    let loops = ServerLoops()
    let dialer = NIODialer(loops: loops)
    let heard = Mutex("")
    await loops.all[0].start {
      let deadline = SystemClock().monotonic().advanced(by: .seconds(20))
      guard case .success(let connection) = await dialer.connect(to: server.endpoints[0], from: nil, until: deadline) else {
        return
      }
      while await connection.receive(until: deadline) == .data {
        let bytes = String(buffer: connection.input)
        if bytes.hasPrefix("220"), bytes.hasSuffix("\r\n") { break }
      }
      heard.withLock { $0 = String(buffer: connection.input) }
      connection.close()
    }.value
    await loops.shutdown()
    return heard.withLock { $0 }
  }

  @Test("while draining, who connects is told 421 and who was there ends with the same; then mail is taken again")
  func draining() async throws {
    try await withFolder { folder in
      let server = try await Server.start(Self.configuration(folder), log: Logger(label: "test"))
      #expect(await told(by: server).hasPrefix("220 mx.example.test"))
      server.drain(true)
      #expect(server.isDraining)
      #expect(await told(by: server) == "421 4.3.2 mx.example.test Takes no mail just now, try again later\r\n")
      server.drain(false)
      #expect(await told(by: server).hasPrefix("220 mx.example.test"))
      await server.shutdown()
    }
  }

  @Test("a server that begins after a crash drains as the one before it did")
  func crash() async throws {
    try await withFolder { folder in
      let notes = try #require(SharedNotes())
      let first = try await Server.start(Self.configuration(folder), notes: notes, log: Logger(label: "test"))
      first.drain(true)
      await first.shutdown()
      let second = try await Server.start(Self.configuration(folder), notes: notes, log: Logger(label: "test"))
      #expect(second.isDraining)
      #expect(await told(by: second).hasPrefix("421 4.3.2"))
      second.drain(false)
      #expect(!notes.isDraining)
      await second.shutdown()
    }
  }
}
