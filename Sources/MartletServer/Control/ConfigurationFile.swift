import Configuration
import Foundation
import Glibc
import Outside
import Routing

/// `martlet.toml` on disk: read whole, and held against the machine it is for.
public struct ConfigurationFile: Sendable {
  public let path: String
  public let text: String
  public let configuration: Configuration

  /// Octets of a file that is read: 1 MiB.
  static let longest = 1 << 20

  /// Reads and judges the file. Every problem is in the failure, each on a line of its own.
  public init(path: String) throws(AdminFailure) {
    self.path = path
    let bytes = try Self.read(path, longest: Self.longest)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw AdminFailure("\(path): expected UTF-8", exitCode: 78) }
    self.text = text
    do throws(ConfigurationError) {
      configuration = try Configuration.parse(text, file: path)
    } catch {
      throw AdminFailure(error.description, exitCode: 78)
    }
  }

  static func read(_ path: String, longest: Int) throws(AdminFailure) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw AdminFailure("\(path): \(String(cString: strerror(errno)))", exitCode: 78) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw AdminFailure("\(path): \(String(cString: strerror(errno)))", exitCode: 78) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= longest else { throw AdminFailure("\(path): longer than \(longest) bytes", exitCode: 78) }
    }
  }

  /// The passwords of the routes, by the paths of their files.
  public static func passwords(_ configuration: Configuration) throws(AdminFailure) -> [String: String] {
    var passwords: [String: String] = [:]
    for route in configuration.routes {
      guard let path = route.credentials?.passwordFile else { continue }
      let line = try read(path, longest: 4_096).prefix { $0 != 0x0A && $0 != 0x0D }
      guard !line.isEmpty else { throw AdminFailure("\(path): the first line, the password, is empty", exitCode: 78) }
      passwords[path] = String(decoding: line, as: UTF8.self)
    }
    return passwords
  }

  // MARK: Against the machine

  /// What is found beyond the text itself.
  public struct Findings: Sendable {
    /// The server would not start.
    public var problems: [String] = []
    /// It would, but not as one might think.
    public var warnings: [String] = []
  }

  /// Looks at what the file names: certificates, keys, passwords, folders, users.
  public func findings(now: Timestamp) -> Findings {
    var findings = Findings()
    checkTLS(&findings, now: now)
    checkFiles(&findings)
    checkProcess(&findings)
    checkSources(&findings)
    if configuration.listeners.isEmpty {
      findings.warnings.append("\(path): no [[listener]]: mail can leave, none can come in")
    }
    do {
      findings.warnings += idleBounds(beside: try RouteTable(configuration.routes))
    } catch {
      findings.problems.append(place("route") + "\(error)")
    }
    return findings
  }

  /// Domains of `[[destination]]` that a route takes: what goes by it is bounded by its hosts, never by these.
  private func idleBounds(beside table: RouteTable) -> [String] {
    var warnings: [String] = []
    for (index, destination) in configuration.destinations.enumerated() {
      for (position, pattern) in destination.domains.enumerated() {
        guard let nextHop = table.nextHop(forAll: pattern) else { continue }
        warnings.append(
          place("destination[\(index + 1)].domains[\(position + 1)]")
            + "never bounds \(pattern): a [[route]] sends it to \(nextHop.name); name that in hosts")
      }
    }
    return warnings
  }

  private func place(_ key: String) -> String {
    let line = Configuration.line(of: key, in: text)
    return line > 0 ? "\(path):\(line): \(key): " : "\(path): \(key): "
  }

  private func checkTLS(_ findings: inout Findings, now: Timestamp) {
    guard let tls = configuration.tls else {
      if configuration.listeners.contains(where: { $0.service == .smtp }) {
        findings.warnings.append("\(path): no [tls]: mail comes in without encryption")
      }
      return
    }
    do throws(TLSSetupError) {
      let context = try OpenSSLContext.server(certificate: tls.certificate, key: tls.key)
      guard let expiry = context.expiry else { return }
      let days = expiry.since(now).components.seconds / 86_400
      if expiry <= now {
        findings.warnings.append(place("tls.certificate") + "\(tls.certificate) expired on \(expiry.iso8601)")
      } else if days < 14 {
        findings.warnings.append(place("tls.certificate") + "\(tls.certificate) expires on \(expiry.iso8601), in \(days) days")
      }
    } catch {
      findings.problems.append(place(error.file == tls.key ? "tls.key" : "tls.certificate") + error.description)
    }
    var status = stat()
    if stat(tls.key, &status) == 0, status.st_mode & 0o004 != 0 {
      findings.warnings.append(place("tls.key") + "\(tls.key) can be read by everybody on this machine")
    }
  }

  private func checkFiles(_ findings: inout Findings) {
    for (index, route) in configuration.routes.enumerated() {
      guard let file = route.credentials?.passwordFile, access(file, R_OK) != 0 else { continue }
      findings.problems.append(place("route[\(index + 1)].password-file") + "\(file): \(String(cString: strerror(errno)))")
    }
    for (index, anchor) in configuration.dns.trustAnchors.enumerated() where access(anchor, R_OK) != 0 {
      findings.problems.append(place("dns.trust-anchors[\(index + 1)]") + "\(anchor): \(String(cString: strerror(errno)))")
    }
    for (index, listener) in configuration.listeners.enumerated() {
      guard case .unix(let socket) = listener.address else { continue }
      let folder = Self.folder(of: socket)
      if access(folder, W_OK) != 0 {
        findings.problems.append(place("listener[\(index + 1)].address") + "\(folder): \(String(cString: strerror(errno)))")
      }
    }
    if !configuration.log.file.isEmpty, access(Self.folder(of: configuration.log.file), W_OK) != 0 {
      findings.problems.append(
        place("log.file") + "\(Self.folder(of: configuration.log.file)): \(String(cString: strerror(errno)))")
    }
    var status = stat()
    if stat(configuration.data, &status) != 0 {
      findings.warnings.append(place("data") + "\(configuration.data) does not exist yet; the first start makes it")
    } else if status.st_mode & S_IFMT != S_IFDIR {
      findings.problems.append(place("data") + "\(configuration.data) is not a folder")
    } else if status.st_mode & 0o007 != 0 {
      findings.warnings.append(place("data") + "\(configuration.data) is open to everybody on this machine")
    }
  }

  private func checkProcess(_ findings: inout Findings) {
    guard geteuid() == 0 else { return }
    if getpwnam(configuration.process.user) == nil {
      findings.problems.append(place("process.user") + "there is no user \(configuration.process.user) on this machine")
    } else if configuration.process.user == "root" {
      findings.problems.append(place("process.user") + "root has the rights of root: name a user that has not")
    }
  }

  /// Addresses that connections are to come from must be this machine's.
  private func checkSources(_ findings: inout Findings) {
    var sources = [("delivery", configuration.delivery.source)]
    sources += configuration.routes.enumerated().map { ("route[\($0.offset + 1)]", $0.element.source) }
    sources += configuration.senders.enumerated().map { ("sender[\($0.offset + 1)]", $0.element.source) }
    for (section, source) in sources {
      for (index, address) in source.addresses.enumerated() {
        guard let problem = InterfaceAddresses.problem(with: address) else { continue }
        findings.problems.append(
          place("\(section).source-addresses[\(index + 1)]") + "no connection can come from \(address): \(problem)")
      }
    }
  }

  static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
