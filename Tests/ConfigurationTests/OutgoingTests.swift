import Configuration
import Outside
import Testing

/// Where mail comes from when it leaves, and how fast it may.
struct OutgoingTests {
  private static let host = "hostname = \"mx.example.test\"\n"

  private func problems(_ text: String) -> [String] {
    do {
      _ = try Configuration.parse(Self.host + text, file: "martlet.toml")
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  @Test("destinations, senders, sources and soft bounces are read")
  func read() throws {
    let configuration = try Configuration.parse(
      Self.host + """
        [queue]
        soft-bounce = true
        [delivery]
        source-addresses = ["192.0.2.1", "2001:db8::1"]
        helo = "out.example.test"
        [[route]]
        domain = "*"
        next-hop = "smtp://relay.example.net"
        source-addresses = ["192.0.2.3"]
        [[sender]]
        domain = ".Brand.Test"
        source-addresses = ["192.0.2.2"]
        helo = "Mail.Brand.Test"
        [[destination]]
        domains = ["Example.net", ".example.net"]
        hosts = ["mx.example.com", "192.0.2.9", "*"]
        concurrency = 5
        connections-per-minute = 30
        messages-per-minute = 60
        messages-per-hour = 1000
        messages-per-connection = 10
        [[destination]]
        hosts = [".example.org"]
        """, file: "martlet.toml")
    #expect(configuration.queue.softBounces)
    #expect(configuration.delivery.source.addresses.map { "\($0)" } == ["192.0.2.1", "2001:db8::1"])
    #expect(configuration.delivery.source.helo == "out.example.test")
    #expect(configuration.routes[0].source.addresses.map { "\($0)" } == ["192.0.2.3"])
    #expect(configuration.senders[0].pattern == .suffix("brand.test") && configuration.senders[0].source.helo == "mail.brand.test")
    let first = configuration.destinations[0]
    #expect(first.domains == ["example.net", ".example.net"] && first.hosts == ["mx.example.com", "192.0.2.9", "*"])
    #expect(first.concurrency == 5 && first.connectionsPerMinute == 30 && first.messagesPerMinute == 60)
    #expect(first.messagesPerHour == 1_000 && first.messagesPerConnection == 10)
    #expect(
      configuration.destinations[1] == Configuration.Destination(hosts: [".example.org"], line: configuration.destinations[1].line))
  }

  @Test(
    "what can't be is told",
    arguments: [
      ("[[destination]]\nconcurrency = 5", "is required, or \"hosts\""),
      ("[[destination]]\nhosts = [\"a b\"]", "destination[1].hosts[1]"),
      ("[[destination]]\nhosts = [\"*\"]\nmessages-per-minute = 0", "expected a whole number from 1 to 1000000"),
      ("[[destination]]\nhosts = [\"*\"]\nmessages-per-second = 1", "unknown key"),
      ("[[destination]]\ndomains = [\"a.test\"]\n[[destination]]\ndomains = [\"A.test\"]", "expected each pattern once"),
      ("[[sender]]\ndomain = \"a.test\"", "the section says nothing else"),
      ("[[sender]]\nhelo = \"a.test\"", "sender[1].domain"),
      ("[[sender]]\ndomain = \"a.test\"\nhelo = \"a_b c\"", "sender[1].helo"),
      ("[delivery]\nsource-addresses = [\"192.0.2.1\", \"192.0.2.2\"]", "at most one IPv4"),
      ("[[route]]\ndomain = \"*\"\nnext-hop = \"lmtp+unix:///run/x\"\nsource-addresses = [\"192.0.2.1\"]", "a Unix socket"),
    ])
  func refused(text: String, told: String) {
    #expect(problems(text).contains { $0.contains(told) }, "\(problems(text))")
  }
}
