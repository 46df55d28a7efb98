import Bytes
import Outside

/// The sections that say where mail comes from when it leaves, and how fast it may.
extension Configuration {
  static func readSource(_ section: inout SectionReader) -> Source {
    var source = Source()
    source.addresses = section.list("source-addresses", of: "an IP address of this host") { IPAddress($0) }
    if source.addresses.count(where: \.isIPv4) > 1 || source.addresses.count(where: { !$0.isIPv4 }) > 1 {
      section.problem("source-addresses", "expected at most one IPv4 and one IPv6 address")
    }
    source.helo = section.string("helo", default: "").asciiLowercased
    if !source.helo.isEmpty, !HostAndPort.isDomainName(source.helo) {
      section.problem(
        "helo", "expected a domain name like \"mail.example.org\", not \"\(String.escaped(source.helo.utf8, limit: 100))\"")
    }
    return source
  }

  static func readSenders(_ sections: [SectionReader]) -> [Sender] {
    var senders: [Sender] = []
    for section in sections {
      var section = section
      let pattern = readPattern(&section)
      let source = readSource(&section)
      if source.isDefault { section.problem("source-addresses", "expected this or \"helo\": the section says nothing else") }
      section.finish()
      guard let pattern else { continue }
      if senders.contains(where: { $0.pattern == pattern }) {
        section.problem("domain", "expected each domain once; another [[sender]] has it")
      }
      senders.append(Sender(pattern: pattern, source: source, line: section.line))
    }
    return senders
  }

  static func readDestinations(_ sections: [SectionReader]) -> [Destination] {
    var destinations: [Destination] = []
    for section in sections {
      var section = section
      var destination = Destination(line: section.line)
      destination.domains = section.list("domains", of: "\"example.net\", \".example.net\" or \"*\"") { namePattern($0) }
      destination.hosts = section.list("hosts", of: "\"mx.example.net\", \".example.net\", an IP address or \"*\"") { text in
        namePattern(text) ?? IPAddress(text).map { "\($0)" }
      }
      // Without the key there is no bound of its own.
      func bound(_ key: String, _ most: Int) -> Int { section.integer(key, default: 0, in: 1...most) }
      destination.concurrency = bound("concurrency", 1_000)
      destination.connectionsPerMinute = bound("connections-per-minute", 1_000_000)
      destination.messagesPerMinute = bound("messages-per-minute", 1_000_000)
      destination.messagesPerHour = bound("messages-per-hour", 1_000_000)
      destination.messagesPerConnection = bound("messages-per-connection", 100_000)
      if destination.domains.isEmpty, destination.hosts.isEmpty, !section.sets("domains"), !section.sets("hosts") {
        section.problem("domains", "is required, or \"hosts\": whom the section is about")
      }
      section.finish()
      for earlier in destinations {
        if let twice = destination.domains.first(where: earlier.domains.contains) {
          section.problem("domains", "expected each pattern once; another [[destination]] has \"\(twice)\"")
        }
        if let twice = destination.hosts.first(where: earlier.hosts.contains) {
          section.problem("hosts", "expected each pattern once; another [[destination]] has \"\(twice)\"")
        }
      }
      destinations.append(destination)
    }
    return destinations
  }

  private static func namePattern(_ text: String) -> String? {
    let name = text.asciiLowercased
    if name == "*" { return name }
    return HostAndPort.isDomainName(name.hasPrefix(".") ? String(name.dropFirst()) : name) ? name : nil
  }
}
