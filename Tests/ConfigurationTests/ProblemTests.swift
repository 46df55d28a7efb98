import Configuration
import Testing

/// What is refused, with file, line, key and what was expected.
struct ProblemTests {
  private func problems(_ text: String) -> [String] {
    do {
      _ = try Configuration.parse(text, file: "martlet.toml")
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  private static let host = "hostname = \"mx.example.test\"\n"

  @Test(
    "a section's header that begins with no name is told with its line, wherever it stands",
    arguments: [
      "[!]", "[é]", "[[é]]", "[\u{FFFD}", "[ .a]", "[,]", "[=]", "[#x]", "[\n]", "[[\r\n", "\t[\u{7F}", "[[ %", "[[[a]]]", "[[ [!",
    ])
  func namelessHeader(header: String) {
    let told = "not readable as TOML: expected a section's name behind the bracket"
    #expect(problems(header).first?.hasSuffix("1: \(told)") == true)
    #expect(problems("\u{FEFF}" + header).first?.hasSuffix("1: \(told)") == true)
    #expect(problems(Self.host + "[queue] # [!]\n" + header).first?.hasSuffix("3: \(told)") == true)
    #expect(problems("[trust]\nnetworks = [\n[1], \"]\", # ]\n]\n" + header).first?.hasSuffix("5: \(told)") == true)
    #expect(problems("data = \"\"\"\n[!]\n\"\"\"\n" + header).first?.hasSuffix("4: \(told)") == true)
    #expect(problems("data = \n" + header).first?.contains("1: not readable as TOML") == true)
  }

  @Test(
    "a brace where an array has a value is told with its line, not aborted at",
    arguments: [
      "[}", "[ }", "[\"a\",}", "[\"a\", # ]\n}", "[[1], }", "[{a = [}]", "[\"a\",\n\n }",
    ])
  func brace(value: String) {
    let text = Self.host + "[trust]\nnetworks = " + value
    let last = 3 + value.split(separator: "}", omittingEmptySubsequences: false)[0].filter { $0 == "\n" }.count
    #expect(problems(text).first?.hasSuffix("\(last): not readable as TOML: expected a value or ']', not '}'") == true)
  }

  @Test(
    "a NUL written as an escape is told with its line: TOMLKit would end the text there",
    arguments: ["\"a\\u0000b\"", "\"\"\"\na\\U00000000\"\"\"", "[\"\\u0000\"]", "{\"k\\u0000\" = 1}"])
  func escapedNUL(value: String) {
    let found = problems(Self.host + "data = " + value).first
    #expect(found?.hasSuffix("not readable as TOML: expected text, not a NUL") == true, "\(found ?? "taken")")
    #expect(problems(Self.host + "\"data\\u0000\" = 1").first?.hasSuffix("expected text, not a NUL") == true)
    #expect(!problems(Self.host + "data = '\\u0000'").contains { $0.contains("NUL") })
    #expect(!problems(Self.host + "data = \"\\\\u0000\"").contains { $0.contains("NUL") })
  }

  @Test("braces elsewhere are left to the parser", arguments: ["[{a = 1}]", "[{}]", "[[{}], {}]", "[\"}\"]", "[1, # }\n2]"])
  func goodBrace(value: String) {
    #expect(!problems(Self.host + "x = " + value).contains { $0.contains("not readable") })
  }

  @Test(
    "each bad value is told with its line",
    arguments: [
      ("data = 5", "2: data: expected text in quotes, not a whole number"),
      (
        "[queue]\nfirst-retry = \"5 minutes\"",
        "3: queue.first-retry: expected a duration like \"30s\", \"5m\", \"4h\" or \"5d\", not \"5 minutes\""
      ),
      ("[queue]\n\nlifetime = \"0s\"", "4: queue.lifetime: expected a duration of at least 1s, not \"0s\""),
      ("queue.lifetime = 5", "2: queue.lifetime: expected a duration like \"30s\", \"5m\", \"4h\" or \"5d\", not 5"),
      (
        "[queue]\nfirst-retry = \"5h\"", "3: queue.first-retry: expected \"maximum-retry\" (4h) to be at least \"first-retry\" (5h)"
      ),
      (
        "[limits]\nmessage-size = \"50 apples\"",
        "3: limits.message-size: expected a number of bytes or a size like \"50MB\" or \"10MiB\", not \"50 apples\""
      ),
      (
        "[limits]\nmessage-size = -1",
        "3: limits.message-size: expected a number of bytes or a size like \"50MB\" or \"10MiB\", not -1"
      ),
      ("[limits]\ncommand-line = 100", "3: limits.command-line: expected at least 512 bytes, not 100"),
      ("[limits]\nhops = -1", "3: limits.hops: expected a whole number from 1 to 1000000000, or 0 for unlimited, not -1"),
      (
        "[limits]\nhops = \"many\"",
        "3: limits.hops: expected a whole number from 1 to 1000000000, or 0 for unlimited, not \"many\""
      ),
      (
        "[trust]\nnetworks = [\n  \"10.0.0.0/8\", # fine\n  \"10.0.0.1/8\",\n]",
        "5: trust.networks[2]: expected a network like \"192.0.2.0/24\" or \"2001:db8::/32\" (no bits set behind the length), not \"10.0.0.1/8\""
      ),
      (
        "[trust]\nproxy = \"10.0.0.0/8\"",
        "3: trust.proxy: expected a list in brackets of a network like \"192.0.2.0/24\" or \"2001:db8::/32\" (no bits set behind the length), not \"10.0.0.0/8\""
      ),
      (
        "[dns]\nservers = [\"resolver\"]",
        "3: dns.servers[1]: expected an IP address, with or without port, like \"192.0.2.1\" or \"[2001:db8::1]:53\", not \"resolver\""
      ),
      (
        "[log]\nlevel = \"loud\"",
        "3: log.level: expected one of \"trace\", \"debug\", \"info\", \"notice\", \"warning\", \"error\", \"critical\", not \"loud\""
      ),
      ("[process]\nuser = \"\"", "3: process.user: expected a user's name, not an empty text"),
      ("[process]\nevent-loops = 1000", "3: process.event-loops: expected a whole number from 1 to 64, not 1000"),
      ("[tls]\nkey = \"k\"", "2: tls.certificate: is required: a PEM file with the certificate and its chain"),
      (
        "[tls]\nkey = \"k\"\ncertificate = \"c\"\nminimum-version = \"1.1\"",
        "5: tls.minimum-version: expected one of \"1.2\", \"1.3\", not \"1.1\""
      ),
      (
        "[directory]\nsubaddress-separator = \"++\"",
        "3: directory.subaddress-separator: expected one punctuation character like \"+\" or \"-\", or \"\" for none"
      ),
      (
        "[directory]\npostmaster = \"alice\"",
        "3: directory.postmaster: expected an address like \"admin@example.org\", not \"alice\""
      ),
      ("queue = 1", "2: queue: expected a section [queue], not a whole number"),
      ("listener = { protocol = \"smtp\" }", "2: listener: expected sections [[listener]] in double brackets, not a section"),
      (
        "[delivery]\nsource-addresses = [\"127.0.0.1\", \"127.0.0.2\"]",
        "3: delivery.source-addresses: expected at most one IPv4 and one IPv6 address"
      ),
    ])
  func badValue(text: String, expected: String) { #expect(problems(Self.host + text) == ["martlet.toml:" + expected]) }

  @Test(
    "each bad listener is told with its line",
    arguments: [
      ("protocol = \"smtp\"", "1: listener[1].address: is required: \"host:port\", \"[v6]:port\" or \"unix:/path\""),
      ("address = \"127.0.0.1:25\"", "1: listener[1].protocol: is required: \"smtp\" or \"lmtp\""),
      (
        "protocol = \"imap\"\naddress = \"127.0.0.1:143\"",
        "2: listener[1].protocol: \"imap\" is not in this release; expected \"smtp\" or \"lmtp\""
      ),
      (
        "protocol = \"gopher\"\naddress = \"127.0.0.1:70\"",
        "2: listener[1].protocol: expected \"smtp\" or \"lmtp\", not \"gopher\""
      ),
      (
        "protocol = \"smtp\"\naddress = \"127.0.0.1\"",
        "3: listener[1].address: expected \"host:port\" with an IP address of this host (\"0.0.0.0:25\" for all), \"[v6]:port\" or \"unix:/path\", not \"127.0.0.1\""
      ),
      (
        "protocol = \"lmtp\"\naddress = \"127.0.0.1:25\"",
        "3: listener[1].address: expected another port: LMTP must not be on port 25"
      ),
      (
        "protocol = \"smtp\"\naddress = \"127.0.0.1:25\"\ntls = \"starttls\"",
        "4: listener[1].tls: \"starttls\" needs a section [tls] with certificate and key"
      ),
      (
        "protocol = \"smtp\"\naddress = \"127.0.0.1:25\"\ntls = \"maybe\"",
        "4: listener[1].tls: expected one of \"none\", \"starttls\", \"implicit\", not \"maybe\""
      ),
      (
        "protocol = \"smtp\"\naddress = \"127.0.0.1:25\"\nport = 25",
        "4: listener[1].port: unknown key; known here: address, protocol, tls"
      ),
      (
        "protocol = \"smtp\"\naddress = \"127.0.0.1:25\"\n[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:25\"",
        "6: listener[2].address: expected each address once; another listener has it"
      ),
    ])
  func badListener(text: String, expected: String) {
    // The header stands on line 1, the host name behind an empty line of dotted keys is not possible: so it comes first inline.
    let found = problems("hostname = \"mx.example.test\"\n[[listener]]\n" + text)
    let line = expected.split(separator: ":", maxSplits: 1)
    let shifted = (Int(line[0]) ?? 0) + 1
    #expect(found == ["martlet.toml:\(shifted):" + line[1]])
  }

  @Test(
    "each bad route is told with its line",
    arguments: [
      ("next-hop = \"smtp://a.test\"", "2: route[1].domain: is required: \"example.net\", \".example.net\" or \"*\""),
      (
        "domain = \"a.test\"",
        "2: route[1].next-hop: is required: like \"smtp://192.0.2.1:25\""
      ),
      (
        "domain = \"a..test\"\nnext-hop = \"smtp://a.test\"",
        "3: route[1].domain: expected \"example.net\", \".example.net\" or \"*\", not \"a..test\""
      ),
      (
        "domain = \"a.test\"\nnext-hop = \"a.test:25\"",
        "4: route[1].next-hop: expected \"smtp://host:port\", \"smtps://host:port\", \"lmtp://host:port\" or \"lmtp+unix:///path\", not \"a.test:25\""
      ),
      (
        "domain = \"a.test\"\nnext-hop = \"smtp://127.0.0.1\"\nmx = true",
        "5: route[1].mx: expected false: MX is looked up for a name, and \"next-hop\" has none"
      ),
      (
        "domain = \"a.test\"\nnext-hop = \"smtp://b.test\"\nuser = \"me\"", "2: route[1].password-file: is required beside \"user\""
      ),
      (
        "domain = \"a.test\"\nnext-hop = \"smtps://b.test\"\ntls = \"opportunistic\"",
        "5: route[1].tls: expected \"required\" or \"verified\": smtps is encrypted always"
      ),
      (
        "domain = \"*\"\nnext-hop = \"lmtp+unix:///x\"\ntls = \"required\"",
        "5: route[1].tls: expected \"none\" or \"opportunistic\" for a Unix socket"
      ),
      (
        "domain = \"a.test\"\nnext-hop = \"smtp://b.test\"\n[[route]]\ndomain = \"A.test\"\nnext-hop = \"smtp://c.test\"",
        "6: route[2].domain: expected each domain once; another route has it"
      ),
    ])
  func badRoute(text: String, expected: String) {
    #expect(problems(Self.host + "[[route]]\n" + text) == ["martlet.toml:" + expected])
  }

  @Test("an unknown key is refused with its line, and the near one is named")
  func unknownKeys() {
    #expect(problems(Self.host + "hostnam = \"x\"") == ["martlet.toml:2: hostnam: unknown key; did you mean \"hostname\"?"])
    #expect(
      problems(Self.host + "[queue]\n\"first_retry\" = \"5m\"") == [
        "martlet.toml:3: queue.first_retry: unknown key; did you mean \"first-retry\"?"
      ])
    #expect(problems(Self.host + "[que]\nx = 1") == ["martlet.toml:2: que: unknown section; did you mean \"queue\"?"])
  }

  @Test("the host name is required, and must be a name")
  func hostName() {
    #expect(
      problems("data = \"/x\"") == ["martlet.toml: hostname: is required: this host's own domain name, like \"mx.example.org\""])
    for name in ["127.0.0.1", "-a.test", "a b", "a..b", "mx.example.test."] {
      #expect(
        problems("hostname = \"\(name)\"") == [
          "martlet.toml:1: hostname: expected a domain name like \"mx.example.org\", not \"\(name)\""
        ])
    }
  }

  @Test("all problems are told at once, in the order of their lines")
  func allAtOnce() {
    let found = problems("[log]\nlevel = 1\n[queue]\nlifetime = \"x\"\nfoo = 1\n[limits]\nhops = \"x\"\n")
    #expect(
      found.map { $0.split(separator: ":").prefix(2).joined(separator: ":") } == [
        "martlet.toml: hostname", "martlet.toml:2", "martlet.toml:4", "martlet.toml:5", "martlet.toml:7",
      ])
  }

  @Test("what is not TOML is told with its line")
  func syntax() {
    for text in [
      "hostname = \"a.test\"\n[queue\n", "hostname = \"a.test\"\nlifetime = 5d\n", "hostname = \"a.test\"\nhostname = \"b.test\"\n",
      "\nx = \"\u{0}\"\n",
    ] {
      let found = problems(text)
      #expect(found.count == 1)
      #expect(found.first?.hasPrefix("martlet.toml:2: ") == true, "\(found)")
    }
  }

  @Test("a control character in a value is escaped in the message")
  func escaped() {
    #expect(problems(Self.host + "[log]\nformat = \"\\u001B[31m\"").first?.hasSuffix("not \"\\x1b[31m\"") == true)
  }

  @Test("lines are right behind long strings, comments, arrays over lines, dotted and quoted keys")
  func lines() {
    let text = """
      # a comment with [brackets] and "quotes
      hostname = "mx.example.test" # [x]
      data = \"\"\"
      /srv/[mail]
      \"\"\"
      "queue"."lifetime" = "never"
      [trust] # networks
      networks = [ # first
        '192.0.2.0/24', "198.51.100.0/24",

        "nonsense" ]
      [log]
      level = '''loud'''
      """
    #expect(problems(text).map { $0.prefix(while: { $0 != " " }) } == ["martlet.toml:6:", "martlet.toml:11:", "martlet.toml:13:"])
  }
}
