import Bytes
import Outside
import TOMLKit

extension Configuration {
  /// Reads a text.
  ///
  /// - Parameter file: the file's name, for problems and as the start of relative paths.
  public static func parse(_ text: String, file: String) throws(ConfigurationError) -> Configuration {
    let lines = KeyLines(text)
    let table = try parseTOML(text, lines, file: file)
    let problems = ProblemList(file: file, lines: lines)
    let folder = file.lastIndex(of: "/").map { $0 == file.startIndex ? "/" : String(file[..<$0]) } ?? ""
    var top = SectionReader(path: "", table: table, folder: folder, problems: problems)
    let configuration = read(&top)
    top.finish()
    guard problems.problems.isEmpty else {
      throw ConfigurationError(
        problems: problems.problems.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }.map(
          \.element))
    }
    return configuration
  }

  /// Every key there is, as `queue.first-retry` or `listener.address`, sorted.
  public static let knownKeys: [String] = {
    let text = "[[listener]]\n[[route]]\n[[sender]]\n[[destination]]\n[tls]\n"
    let lines = KeyLines(text)
    let problems = ProblemList(file: "", lines: lines)
    guard let table = try? parseTOML(text, lines, file: "") else { return [] }
    var top = SectionReader(path: "", table: table, folder: "", problems: problems)
    _ = read(&top)
    return Set(problems.knownKeys).sorted()
  }()

  private static func parseTOML(_ text: String, _ lines: KeyLines, file: String) throws(ConfigurationError) -> TOMLTable {
    if let zero = text.utf8.firstIndex(of: 0) {
      let line = text.utf8[..<zero].reduce(1) { $1 == 0x0A ? $0 + 1 : $0 }
      throw ConfigurationError(problems: [.init(file: file, line: line, key: "", expectation: "expected text, not a NUL byte")])
    }
    if let fatal = lines.fatal {
      // What is wrong before it comes first.
      _ = try table(String(decoding: text.utf8.prefix(fatal.offset), as: UTF8.self), file: file)
      throw ConfigurationError(
        problems: [.init(file: file, line: fatal.line, key: "", expectation: "not readable as TOML: \(fatal.expectation)")])
    }
    return try table(text, file: file)
  }

  private static func table(_ text: String, file: String) throws(ConfigurationError) -> TOMLTable {
    do {
      return try TOMLTable(string: text)
    } catch {
      guard let error = error as? TOMLParseError else {
        throw ConfigurationError(problems: [.init(file: file, line: 0, key: "", expectation: "not readable as TOML: \(error)")])
      }
      throw ConfigurationError(
        problems: [
          .init(file: file, line: error.source.begin.line, key: "", expectation: "not readable as TOML: \(error.description)")
        ])
    }
  }

  private static func read(_ top: inout SectionReader) -> Configuration {
    var configuration = Configuration(hostname: "")
    if let name = top.requiredString("hostname", "this host's own domain name, like \"mx.example.org\"") {
      configuration.hostname = name.asciiLowercased
      if !HostAndPort.isDomainName(name) {
        top.problem("hostname", "expected a domain name like \"mx.example.org\", not \"\(name)\"")
      }
    }
    configuration.data = top.path("data", default: configuration.data)
    if configuration.data.isEmpty { top.problem("data", "expected a folder, not an empty text") }
    if configuration.controlSocket.utf8.count > HostAndPort.longestSocketPath {
      top.problem("data", "expected a path of at most \(HostAndPort.longestSocketPath - 8) bytes: the control socket stands in it")
    }
    configuration.tls = readTLS(top.section("tls"))
    configuration.listeners = readListeners(top.sections("listener"), hasTLS: top.sets("tls"))
    configuration.dns = readDNS(top.section("dns"))
    configuration.routes = readRoutes(top.sections("route"))
    configuration.senders = readSenders(top.sections("sender"))
    configuration.destinations = readDestinations(top.sections("destination"))
    configuration.trust = readTrust(top.section("trust"))
    configuration.directory = readDirectory(top.section("directory"))
    configuration.queue = readQueue(top.section("queue"))
    configuration.delivery = readDelivery(top.section("delivery"))
    configuration.limits = readLimits(top.section("limits"))
    configuration.store = readStore(top.section("store"))
    configuration.process = readProcess(top.section("process"))
    configuration.log = readLog(top.section("log"))
    return configuration
  }

  private static func readTLS(_ section: SectionReader) -> TLS? {
    var section = section
    guard section.isPresent else { return nil }
    let certificate = section.requiredString("certificate", "a PEM file with the certificate and its chain").map(section.resolved)
    let key = section.requiredString("key", "a PEM file with the private key").map(section.resolved)
    let minimumVersion = section.choice("minimum-version", default: TLS.Version.tls12)
    section.finish()
    return TLS(certificate: certificate ?? "", key: key ?? "", minimumVersion: minimumVersion)
  }

  private static func readDNS(_ section: SectionReader) -> DNS {
    var section = section
    let servers = section.list("servers", of: "an IP address, with or without port, like \"192.0.2.1\" or \"[2001:db8::1]:53\"") {
      (text: String) -> DNS.Server? in
      if let address = IPAddress(text) { return DNS.Server(address: address) }
      guard let parsed = HostAndPort(text), let address = IPAddress(parsed.host), parsed.port != 0 else { return nil }
      return DNS.Server(address: address, port: parsed.port ?? 53)
    }
    let folder = section
    let anchors = section.list("trust-anchors", of: "a file name") { $0.isEmpty ? nil : folder.resolved($0) }
    section.finish()
    return DNS(servers: servers, trustAnchors: anchors)
  }

  private static func readTrust(_ section: SectionReader) -> Trust {
    var section = section
    let what = "a network like \"192.0.2.0/24\" or \"2001:db8::/32\" (no bits set behind the length)"
    let trust = Trust(
      networks: section.list("networks", of: what) { NetworkPrefix($0) },
      proxy: section.list("proxy", of: what) { NetworkPrefix($0) },
      xclient: section.list("xclient", of: what) { NetworkPrefix($0) })
    section.finish()
    return trust
  }

  private static func readDirectory(_ section: SectionReader) -> Directory {
    var section = section
    var directory = Directory()
    directory.subaddressSeparator = section.string("subaddress-separator", default: directory.subaddressSeparator)
    let separator = Array(directory.subaddressSeparator.utf8)
    if separator.count > 1
      || separator.contains(where: { !$0.isASCIIVisible || $0.isASCIIAlphanumeric || $0 == 0x40 || $0 == 0x22 })
    {
      section.problem("subaddress-separator", "expected one punctuation character like \"+\" or \"-\", or \"\" for none")
    }
    directory.postmaster = section.string("postmaster", default: "")
    if !directory.postmaster.isEmpty, !directory.postmaster.contains("@") {
      section.problem("postmaster", "expected an address like \"admin@example.org\", not \"\(directory.postmaster)\"")
    }
    directory.aliasDepth = section.integer("alias-depth", default: directory.aliasDepth, in: 1...100)
    directory.aliasTargets = section.integer("alias-targets", default: directory.aliasTargets, in: 1...10_000)
    section.finish()
    return directory
  }

  private static func readStore(_ section: SectionReader) -> Store {
    var section = section
    var store = Store()
    store.reserve = section.size("reserve", default: store.reserve)
    store.traceRetention = section.duration("trace-retention", default: store.traceRetention)
    store.traceSize = section.size("trace-size", default: store.traceSize)
    section.finish()
    return store
  }

  private static func readProcess(_ section: SectionReader) -> Process {
    var section = section
    var process = Process()
    process.user = section.string("user", default: process.user)
    if process.user.isEmpty { section.problem("user", "expected a user's name, not an empty text") }
    process.eventLoops = section.integer("event-loops", default: process.eventLoops, in: 1...64)
    section.finish()
    return process
  }

  private static func readLog(_ section: SectionReader) -> Log {
    var section = section
    let log = Log(
      level: section.choice("level", default: Log.Level.info), format: section.choice("format", default: Log.Format.text),
      file: section.path("file", default: ""))
    section.finish()
    return log
  }
}

extension Configuration {
  /// The line of a text on which `key` stands (`tls.certificate`, `route[2].password-file`), or of what it stands in; 0 if it does not.
  public static func line(of key: String, in text: String) -> Int { KeyLines(text).line(of: key) }
}
