import Configuration
import Foundation
import Logging
import MartletServer

/// The two hosts of a demonstration, in this process.
struct DemoHosts {
  struct Host {
    let server: Server
    let control: ControlListener
    let writer: LogWriter
  }

  let stage: DemoStage
  let here: Host
  let there: Host

  static func start(_ stage: DemoStage) async throws -> DemoHosts {
    let here = try await start(stage, "example.test", accounts: ["alice", "bob"])
    do {
      return DemoHosts(stage: stage, here: here, there: try await start(stage, "example.net", accounts: ["carol"]))
    } catch {
      await stop(here)
      throw error
    }
  }

  private static func start(_ stage: DemoStage, _ domain: String, accounts: [String]) async throws -> Host {
    let configuration = try ConfigurationFile(path: stage.file(of: domain)).configuration
    try DataFolder.make(configuration.data)
    let writer = try LogWriter(path: configuration.log.file)
    let log = ServerLog.logger(configuration.log, writer: writer)
    let server = try await Server.start(configuration, log: log)
    let host = Host(server: server, control: try await server.startControl(parse: Martlet.parse), writer: writer)
    let output = CapturedOutput()
    try await server.run(AddDomain(name: domain, isRelay: false, quota: ByteCount(octets: 0), catchAll: nil), output: output)
    for account in accounts {
      try await server.run(
        AddAccount(address: "\(account)@\(domain)", quota: ByteCount(octets: 0), hasPassword: false), output: output)
    }
    return host
  }

  func stop() async {
    await Self.stop(here)
    await Self.stop(there)
  }

  private static func stop(_ host: Host) async {
    await host.control.stop()
    await host.server.shutdown()
    host.writer.flush()
  }

  func sayHowToConnect() {
    let file = stage.file(of: "example.test")
    Console.say(
      """
      Both hosts stay up; Ctrl-C ends them. Try them:

        swaks --server 127.0.0.1:\(stage.port) --tls --from you@example.net --to alice@example.test
        printf 'Subject: hello\\r\\n\\r\\nHello!\\r\\n' | curl smtp://127.0.0.1:\(stage.port)/laptop.example.net \\
          --mail-from you@example.net --mail-rcpt bob@example.test --upload-file -

      and look at them, from another terminal:

        export MARTLET_CONFIG=\(file)
        martlet status
        martlet mailbox show alice@example.test INBOX
        martlet mailbox show alice@example.test INBOX 1
        martlet queue list
        martlet export maildir alice@example.test /tmp/alice

      Configuration, data and log of each host are in \(stage.folder).
      """)
  }
}
