import Configuration
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
}
