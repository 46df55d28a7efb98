import Configuration
import Outside
import Testing

/// The example of the contract, and what every key becomes.
struct ConfigurationTests {
  static let contract = """
    hostname = "mx.example.test"
    data = "/var/lib/martlet"

    [[listener]]
    protocol = "smtp"              # smtp | lmtp (submission, imap, pop3, ... later)
    address = "127.0.0.1:2525"     # host:port, [v6]:port or unix:/path
    tls = "starttls"               # none | starttls | implicit; default starttls, none without [tls]

    [tls]
    certificate = "/etc/martlet/cert.pem"
    key = "/etc/martlet/key.pem"

    [dns]
    servers = ["127.0.0.1:5353"]   # default: the system's

    [[route]]
    domain = "example.net"         # "example.net", ".example.net" or "*"
    next-hop = "smtp://127.0.0.1:2600"

    [trust]                        # CIDR lists, empty by default, loopback too
    networks = []                  # may relay
    proxy = []                     # may speak PROXY v1/v2
    xclient = []                   # may use XCLIENT

    [queue]                        # durations: "30s", "5m", "4h", "5d"; these are the defaults
    first-retry = "5m"
    maximum-retry = "4h"
    lifetime = "5d"
    delay-notice = "4h"

    [limits]                       # sizes: bytes or "50MB"; 0 means unlimited for every key here
    message-size = "50MB"
    connections-per-client = 20    # an address, or a /64
    messages-per-client-per-minute = 600

    [process]
    user = "martlet"               # when started as root
    """

  @Test("the configuration of the contract is read, and says what the defaults say")
  func contractIsRead() throws {
    let read = try Configuration.parse(Self.contract, file: "martlet.toml")
    var expected = Configuration(hostname: "mx.example.test")
    let loopback = try #require(IPAddress("127.0.0.1"))
    expected.listeners = [.init(service: .smtp, address: .ip(loopback, port: 2525), security: .starttls, line: 4)]
    expected.tls = .init(certificate: "/etc/martlet/cert.pem", key: "/etc/martlet/key.pem")
    expected.dns.servers = [.init(address: loopback, port: 5353)]
    let nextHop = Configuration.NextHop(scheme: .smtp, place: .address(loopback, port: 2600))
    expected.routes = [.init(pattern: .domain("example.net"), nextHop: nextHop, line: 16)]
    #expect(read == expected)
    #expect(read.controlSocket == "/var/lib/martlet/control")
  }

  @Test("a host name alone is enough")
  func minimal() throws {
    #expect(try Configuration.parse("hostname = \"MX.example.test\"", file: "x") == Configuration(hostname: "mx.example.test"))
  }

  @Test("listeners on IPv6, Unix sockets and free ports; TLS defaults to what the host can do")
  func listeners() throws {
    let text = """
      hostname = "mx.example.test"
      tls = { certificate = "cert.pem", key = "key.pem" }
      [[listener]]
      protocol = "smtp"
      address = "[::1]:25"
      [[listener]]
      protocol = "lmtp"
      address = "unix:/run/martlet/lmtp"
      [[listener]]
      protocol = "smtp"
      address = "localhost:0"
      tls = "implicit"
      """
    let read = try Configuration.parse(text, file: "/etc/martlet/martlet.toml")
    #expect(read.listeners.map(\.security) == [.starttls, .none, .implicit])
    #expect(
      read.listeners.map(\.address) == [
        .ip(try #require(IPAddress("::1")), port: 25), .unix(path: "/run/martlet/lmtp"),
        .ip(try #require(IPAddress("127.0.0.1")), port: 0),
      ])
    #expect(read.tls?.certificate == "/etc/martlet/cert.pem", "relative paths count from the file's folder")
  }

  @Test("without [tls] listeners offer none")
  func noTLS() throws {
    let text = "hostname = \"a.test\"\n[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:25\""
    #expect(try Configuration.parse(text, file: "x").listeners.first?.security == Configuration.Listener.Security.none)
  }

  @Test("routes: patterns, next hops, credentials")
  func routes() throws {
    let text = """
      hostname = "a.test"
      [[route]]
      domain = "*"
      next-hop = "smtps://Relay.Example.NET"
      user = "me"
      password-file = "/etc/martlet/relay"
      [[route]]
      domain = ".Example.org"
      next-hop = "smtp://example.com"
      mx = true
      tls = "required"
      [[route]]
      domain = "secure.example"
      next-hop = "lmtp://192.0.2.1"
      tls = "verified"
      [[route]]
      domain = "local.example"
      next-hop = "lmtp+unix:///run/dovecot/lmtp"
      """
    let routes = try Configuration.parse(text, file: "x").routes
    #expect(routes.map(\.pattern) == [.any, .suffix("example.org"), .domain("secure.example"), .domain("local.example")])
    #expect(
      routes.map(\.nextHop.description) == [
        "smtps://relay.example.net:465", "smtp://example.com:25", "lmtp://192.0.2.1:24", "lmtp+unix:///run/dovecot/lmtp",
      ])
    #expect(routes.map(\.usesMX) == [false, true, false, false])
    #expect(routes.map(\.tls) == [.verified, .required, .verified, .opportunistic])
    #expect(routes[0].credentials == .init(user: "me", passwordFile: "/etc/martlet/relay"))
  }

  @Test("0 is unlimited for every key of [limits]")
  func unlimited() throws {
    let keys = Configuration.knownKeys.filter { $0.hasPrefix("limits.") }.map { $0.dropFirst("limits.".count) + " = 0" }
    #expect(keys.count > 20)
    let text = "hostname = \"a.test\"\n[limits]\n" + keys.joined(separator: "\n")
    let limits = try Configuration.parse(text, file: "x").limits
    #expect(limits.messageSize.octets == 0)
    #expect(limits.hops == 0)
    #expect(limits.commandTimeout == .zero)
  }

  @Test(
    "sizes",
    arguments: [
      ("0", 0), ("4096", 4_096), ("50MB", 50_000_000), ("10MiB", 10 << 20), ("64 kib", 65_536), ("1k", 1_024),
      ("2GB", 2_000_000_000),
    ] as [(String, Int64)])
  func sizes(text: String, octets: Int64) { #expect(ByteCount(text)?.octets == octets) }

  @Test(
    "what is no size", arguments: ["", "MB", "-1", "1.5MB", "10 apples", "9223372036854775808", "9223372036854775807K", "1 MB "])
  func noSizes(text: String) { #expect(ByteCount(text) == nil) }

  @Test("durations", arguments: [("30s", 30), ("5m", 300), ("4h", 14_400), ("5d", 432_000), ("0s", 0)] as [(String, Int64)])
  func durations(text: String, seconds: Int64) {
    let duration = Duration(configurationText: text)
    #expect(duration == .seconds(seconds))
    #expect(duration?.configurationText == text)
  }

  @Test("what is no duration", arguments: ["", "s", "5", "5 m", "5M", "-1s", "1h30m", "99999999999d", "36525d1s"])
  func noDurations(text: String) { #expect(Duration(configurationText: text) == nil) }

  @Test(
    "next hops that are refused",
    arguments: [
      "", "example.net", "http://example.net", "smtp://", "smtp://example.net:0", "smtp://example.net:65536", "smtp://a b",
      "smtp://::1:25",
      "smtp://[::1", "smtp://[example.net]:25", "smtp://1.2.3.256", "lmtp+unix://relative", "smtp://user@example.net",
      "smtp://example.net/x",
    ])
  func noNextHops(text: String) { #expect(Configuration.NextHop(text) == nil) }
}
