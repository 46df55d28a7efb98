import Configuration
import Foundation
import Logging
import Outside
import Testing

@testable import MartletServer

@Suite struct ReloadTests {
  @Test("what a reload can't apply is named, and stays as it was")
  func keys() {
    var old = Configuration(hostname: "mx.example.test")
    old.listeners = [.init(service: .smtp, address: .unix(path: "/a"), security: .none)]
    #expect(Settings.needingStart(from: old, to: old).isEmpty)
    var new = old
    new.hostname = "other.example.test"
    new.log.level = .debug
    new.listeners[0].security = .starttls
    new.limits.messageSize = ByteCount(octets: 5_000)
    new.limits.connections = 10
    #expect(Settings.needingStart(from: old, to: new).isEmpty)
    #expect(Settings.applicable(new, after: old) == new)
    new.data = "/elsewhere"
    new.store.traceSize = ByteCount(octets: 1)
    new.process.eventLoops = 7
    new.log.format = .json
    new.log.file = "/x"
    new.dns.trustAnchors = ["/y"]
    new.limits.connections = 20_000
    new.listeners.append(.init(service: .lmtp, address: .unix(path: "/b"), security: .none))
    #expect(
      Settings.needingStart(from: old, to: new) == [
        "data", "listener", "dns.trust-anchors", "store.trace-size", "process.event-loops", "log.format", "log.file",
        "limits.connections",
      ])
    let applied = Settings.applicable(new, after: old)
    #expect(applied.data == old.data && applied.store == old.store && applied.process == old.process)
    #expect(applied.listeners.map(\.security) == [.starttls] && applied.limits.connections == old.limits.connections)
    #expect(applied.log.level == .debug && applied.log.format == old.log.format)
    // What was named stays named until a start.
    #expect(Settings.needingStart(from: applied, to: new).count == 8)
  }

  @Test("an address that is not this machine's is no place for mail to come from, and check says where it stands")
  func sources() async throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString).toml").path
    let text = """
      hostname = "mx.example.test"
      [delivery]
      source-addresses = ["127.0.0.1"]
      [[sender]]
      domain = "brand.test"
      source-addresses = ["192.0.2.77"]
      """
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let problems = try ConfigurationFile(path: path).findings(now: SystemClock().now()).problems.filter { $0.contains("source") }
    #expect(
      problems == [
        "\(path):6: sender[1].source-addresses[1]: no connection can come from 192.0.2.77: it is not an address of this machine"
      ])
  }

  @Test("after a reload with another name nobody is turned away under the old one, and where TLS is expected nothing is said")
  func refusal() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var configuration = Configuration(hostname: "mx.example.test")
    configuration.data = folder.path
    configuration.store.reserve = ByteCount(octets: 0)
    configuration.listeners = [.init(service: .smtp, address: .ip(KnotServer.loopback, port: 0), security: .none)]
    let server = try await Server.start(configuration, log: Logger(label: "test"))
    func refusal() -> String { String(decoding: server.services[0].refusal, as: UTF8.self) }
    #expect(refusal() == "421 4.3.2 mx.example.test Too many connections, try again later\r\n")
    configuration.hostname = "renamed.example.test"
    try await server.reload(configuration)
    #expect(refusal() == "421 4.3.2 renamed.example.test Too many connections, try again later\r\n")
    configuration.listeners[0].security = .implicit
    try await server.reload(configuration)
    #expect(refusal().isEmpty)
    await server.shutdown()
  }
}
