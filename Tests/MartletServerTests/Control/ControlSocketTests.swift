import Configuration
import Delivery
import Foundation
import Glibc
import Logging
import MailModel
import MailStore
import Outside
import Testing

@testable import MartletServer

/// Commands through a real control socket.
struct ControlSocketTests {
  private struct NoServer: LiveServer {
    func directoryChanged() async throws(StoreError) {}
    func wakeQueue() {}
    func withdraw(_ recipients: [QueueRecipientID]) async -> Int { 0 }
    func destinations(_ names: [String], busy: Int) async -> [DestinationReport] { [] }
    func drain(_ isDraining: Bool) {}
    var report: LiveReport { LiveReport(process: 1, uptime: 0, listeners: [], shedSessions: 0, refusedConnections: 0) }
  }

  private static func parse(_ words: [String]) throws(AdminFailure) -> any AdminCommand {
    switch words.first {
    case "mailboxes": return ListMailboxes(account: "alice@example.test", isJSON: true)
    case "verify": return VerifyStore(isJSON: false)
    case "maildir": return ExportMaildir(account: "alice@example.test", layout: .maildirPlusPlus, mailbox: "INBOX")
    case "password": return SetPassword(address: "alice@example.test")
    default: throw AdminFailure("unknown words", exitCode: 64)
    }
  }

  private func withServer(_ body: (CommandStage) async throws -> Void) async throws {
    let stage = try await CommandStage()
    let loops = ServerLoops()
    let configuration = stage.configuration
    let service = ControlService(
      store: stage.store, live: NoServer(), configuration: { configuration }, clock: SystemClock(),
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      parse: { words throws(AdminFailure) in try Self.parse(words) })
    let listener = try await ControlListener.start(
      path: configuration.controlSocket, service: service, loops: loops,
      log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    var problem: (any Error)?
    do {
      try await body(stage)
    } catch {
      problem = error
    }
    await listener.stop()
    await stage.end()
    await loops.shutdown()
    if let problem { throw problem }
  }

  /// What came of a command: code, standard output, standard error.
  private func ask(_ stage: CommandStage, _ words: [String], input: String = "", files: FileSink? = nil) throws -> (
    UInt8, String, String
  ) {
    let paths = (stage.folder + "/stdout", stage.folder + "/stderr")
    let (output, errors) = (creat(paths.0, 0o600), creat(paths.1, 0o600))
    defer {
      close(output)
      close(errors)
    }
    guard let client = try ControlClient(path: stage.configuration.controlSocket) else { throw AdminFailure("nobody listens") }
    let code = try client.run(
      words, input: Array(input.utf8), timeZone: "GMT", output: ConsoleOutput(files: files, output: output, error: errors))
    return (code, try String(contentsOfFile: paths.0, encoding: .utf8), try String(contentsOfFile: paths.1, encoding: .utf8))
  }

  @Test("a command's output, code and message come back; the socket is for its owner alone")
  func commands() async throws {
    try await withServer { stage in
      try await stage.populate()
      var status = stat()
      #expect(stat(stage.configuration.controlSocket, &status) == 0 && status.st_mode & 0o777 == 0o600)
      let (code, output, errors) = try ask(stage, ["mailboxes"])
      #expect(code == 0 && output.contains("\"INBOX\"") && errors.isEmpty)
      #expect(try ask(stage, ["nonsense"]) == (64, "", "martlet: unknown words\n"))
      #expect(try ask(stage, ["verify"]).1.hasSuffix("no problems\n"))
      #expect(try ask(stage, ["password"], input: "$argon2id$v=19$x").0 == 0)
      #expect(try await stage.store.directory().accounts.first?.passwordHash == "$argon2id$v=19$x")
    }
  }

  @Test("files of an export are written by the client, whole")
  func export() async throws {
    try await withServer { stage in
      try await stage.populate()
      let body = "Subject: big\r\n\r\n" + String(repeating: "line of text\r\n", count: 200_000)
      for id in 1...3 { try await stage.accept(body, id: UInt64(id)) }
      let target = stage.folder + "/export"
      let (code, output, _) = try ask(stage, ["maildir"], files: FileSink(root: target))
      #expect(code == 0 && output.hasPrefix("3 messages"))
      let names = try FileManager.default.contentsOfDirectory(atPath: target + "/cur")
      #expect(names.count == 3)
      for name in names { #expect(try String(contentsOfFile: target + "/cur/" + name, encoding: .utf8).hasSuffix(body)) }
    }
  }

  @Test("bytes that are no frames are answered with a message, and a client that goes away harms nobody")
  func garbage() async throws {
    try await withServer { stage in
      for bytes in [[99, 0, 0, 0, 0], [1, 255, 255, 255, 255], [3, 0, 0, 0, 0]] as [[UInt8]] {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(stage.configuration.controlSocket.utf8)) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let connected = withUnsafePointer(to: &address) { pointer in
          pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
          }
        }
        #expect(connected == 0)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
        var answer = [UInt8](repeating: 0, count: 4_096)
        let count = read(descriptor, &answer, answer.count)
        #expect(count > 6 && answer[0] == 23 && answer[5] == 64)
        close(descriptor)
      }
      let afterwards = try ask(stage, ["nonsense"])
      #expect(afterwards.0 == 64)
    }
  }

  @Test("without a listener there is no client")
  func nobody() throws {
    let client = try ControlClient(path: "/nonexistent/control")
    let isThere = client != nil
    #expect(!isThere)
  }
}
