import Configuration
import Foundation
import InternetMessage
import Logging
import MailModel
import MailStore
import NIOCore
import Outside
import Testing

@testable import MartletServer

/// A real store in a folder of its own, and commands that run on it.
final class CommandStage {
  let folder: String
  let store: SQLiteStore
  private let clock = SystemClock()

  init() async throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "mt-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var options = SQLiteStore.Options(folder: folder)
    options.limits.ballast = 0
    store = try await SQLiteStore.open(
      options,
      in: SQLiteStore.Surroundings(
        disk: KernelDisk(folder: folder), clock: clock, random: SystemRandom(), workers: ThreadWorkerProvider()))
  }

  func end() async {
    await store.close()
    try? FileManager.default.removeItem(atPath: folder)
  }

  var configuration: Configuration {
    var configuration = Configuration(hostname: "mx.example.test")
    configuration.data = folder
    return configuration
  }

  /// Runs a command; what it said.
  @discardableResult
  func run(
    _ command: some AdminCommand, input: String = "", output: CapturedOutput = CapturedOutput()
  ) async throws(AdminFailure) -> CapturedOutput {
    try await command.run(
      AdminContext(
        store: store, configuration: configuration, live: nil, clock: clock, input: Array(input.utf8), output: output))
    return output
  }

  /// What a command was refused with; nil if it was not.
  func refusal(_ command: some AdminCommand, input: String = "") async -> String? {
    do throws(AdminFailure) {
      try await run(command, input: input)
      return nil
    } catch {
      return error.message
    }
  }

  /// A domain with alice and bob.
  func populate() async throws {
    try await run(AddDomain(name: "example.test", isRelay: false, quota: ByteCount(octets: 0), catchAll: nil))
    for name in ["alice", "bob"] {
      try await run(AddAccount(address: "\(name)@example.test", quota: ByteCount(octets: 0), hasPassword: false))
    }
  }

  /// Delivers to alice's INBOX, and queues for others.
  func accept(
    _ body: String, id: UInt64, delivers: Bool = true, queued: [String] = [], domain: String = "example.org"
  ) async throws {
    let directory = try await store.directory()
    let alice = try #require(directory.accounts.first { $0.address.localPart == "alice" })
    let spool = store.makeSpool()
    try await spool.append(ByteBuffer(string: body))
    let envelope = Envelope(reversePath: EmailAddress(localPart: "carol", domain: "example.net"))
    let recipients = queued.map { name in
      QueuedRecipient(address: EmailAddress(localPart: name, domain: domain), destination: domain, due: clock.now())
    }
    let acceptance = Acceptance(
      id: QueueID(rawValue: id), received: clock.now(), envelope: envelope, prefix: Array("Received: here\r\n".utf8),
      summary: MessageSummary(),
      census: BodyCensus(size: body.utf8.count),
      deliveries: delivers ? [LocalDelivery(account: alice.id, recipient: alice.address)] : [],
      recipients: recipients,
      trace: [TraceEvent(time: clock.now(), kind: .received, detail: [.init("client", "127.0.0.1"), .init("note", "a \"b\"\n")])])
    _ = try await store.accept(acceptance, body: try await spool.finish(), claiming: false)
  }
}
