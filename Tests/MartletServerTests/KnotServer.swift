import Glibc
import Outside

@testable import MartletServer

/// A Knot DNS server for a test, on a free port of loopback, with a folder of its own.
struct KnotServer {
  let endpoint: Endpoint
  /// The DS records of the signed zone.
  let anchors: [String]
  private let process: pid_t
  private let folder: String

  /// Starts it: `signed.test` is signed, `plain.test` is not, `broken.test` has no data.
  ///
  /// A port that another program takes for UDP in the same moment is no failure of ours: three ports are tried.
  static func start() async -> KnotServer? {
    for _ in 0..<3 {
      // Not one of those that the system gives to clients, among them the resolver's own questions.
      let port = UInt16.random(in: 10_000..<32_000)
      guard let free = try? ListeningSocket.bind(.ip(loopback, port: port)) else { continue }
      free.close()
      if let server = await start(on: port) { return server }
    }
    return nil
  }

  private static func start(on port: UInt16) async -> KnotServer? {
    var template = Array("/tmp/martlet-knot-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { return nil }
    let folder = String(cString: made)
    let zone = """
      $ORIGIN %ZONE%
      $TTL 300
      @ SOA ns hostmaster 1 3600 600 86400 60
      @ NS ns
      @ MX 10 mx1
      @ MX 20 mx2
      ns A 127.0.0.1
      mx1 A 192.0.2.1
      mx2 A 192.0.2.2
      mx2 AAAA 2001:db8::2
      one CNAME two
      two CNAME mx2
      dangling CNAME nowhere
      loop CNAME pool
      pool CNAME loop
      """
    let many = (0..<600).map { "many TXT \"record \($0)\"" }.joined(separator: "\n")
    for name in ["signed.test", "plain.test"] {
      write("\(folder)/\(name).zone", zone.replacingZone(name) + "\n" + many + "\n")
    }
    write(
      "\(folder)/knot.conf",
      """
      server:
          rundir: \(folder)
          listen: 127.0.0.1@\(port)
      database:
          storage: \(folder)
      template:
        - id: default
          storage: \(folder)
          file: "%s.zone"
      zone:
        - domain: signed.test
          dnssec-signing: on
        - domain: plain.test
        - domain: broken.test

      """)
    var process = pid_t()
    let words = ["knotd", "-c", "\(folder)/knot.conf"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) }
    arguments.append(nil)
    defer { for argument in arguments { free_(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_addopen(&actions, 1, "\(folder)/log", O_WRONLY | O_CREAT, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    guard posix_spawn(&process, "/usr/sbin/knotd", &actions, nil, &arguments, environ) == 0 else { return nil }
    let log = "\(folder)/log"
    let ready = "grep -q 'successfully signed' \(log) && grep -q 'server started' \(log)"
    let wait = "for i in $(seq 600); do \(ready) && break; kill -0 \(process) || break; sleep 0.05; done; \(ready) && echo ready"
    guard await TLSConnectionTests.shell(wait).contains("ready") else {
      print("knotd did not start: \(await TLSConnectionTests.shell("tail -5 \(log)"))")
      KnotServer(endpoint: .ip(loopback, port: port), anchors: [], process: process, folder: folder).stop()
      return nil
    }
    let keys = await TLSConnectionTests.shell("keymgr -c \(folder)/knot.conf signed.test ds")
    let anchors = keys.split(separator: "\n").filter { $0.contains(" DS ") }.map(String.init)
    return KnotServer(endpoint: .ip(loopback, port: port), anchors: anchors, process: process, folder: folder)
  }

  func stop() {
    // What it keeps needs no saving, and one that has not started may have every other signal blocked, as the thread that spawned it.
    kill(process, SIGKILL)
    waitpid(process, nil, 0)
    system("rm -rf \(folder)")
  }

  static let loopback: IPAddress = {
    guard let address = IPAddress("127.0.0.1") else { preconditionFailure("an address") }
    return address
  }()

  private static func free_(_ pointer: UnsafeMutablePointer<CChar>?) { free(pointer) }

  private static func write(_ path: String, _ text: String) {
    guard let file = fopen(path, "w") else { return }
    fputs(text, file)
    fclose(file)
  }
}

extension String {
  fileprivate func replacingZone(_ name: String) -> String {
    var lines: [String] = []
    for line in split(separator: "\n") { lines.append(line.hasPrefix("$ORIGIN") ? "$ORIGIN \(name)." : String(line)) }
    return lines.joined(separator: "\n")
  }
}
