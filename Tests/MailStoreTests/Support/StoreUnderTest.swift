import Foundation
import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

/// A folder with a store that can be opened again and again; removed at the end.
final class StoreUnderTest: Sendable {
  let folder: String
  let clock = TestClock()
  let limits: StoreLimits

  init(limits change: (inout StoreLimits) -> Void = { _ in }) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var limits = StoreLimits()
    limits.ballast = 0
    change(&limits)
    self.limits = limits
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func openSQLite(
    tell: @escaping @Sendable (StoreNotice) -> Void = { _ in }, changing change: (inout SQLiteStore.Options) -> Void = { _ in }
  ) async throws(StoreError) -> SQLiteStore {
    var options = SQLiteStore.Options(folder: folder)
    options.limits = limits
    options.tell = tell
    change(&options)
    return try await SQLiteStore.open(
      options,
      in: .init(disk: FolderDisk(folder: folder), clock: clock, random: SeededRandom(7), workers: TestWorkers()))
  }
}

/// What tests put in.
enum Make {
  static func id(_ number: UInt64) -> QueueID { QueueID(rawValue: (1_790_000_000_000 << 16) &+ number) }

  static func body(_ size: Int, fill: UInt8 = 0x61) -> SpooledBody {
    SpooledBody(place: .memory(ByteBuffer(repeating: fill, count: size)), size: size)
  }

  static func address(_ text: String) -> EmailAddress {
    let at = text.lastIndex(of: "@") ?? text.endIndex
    return EmailAddress(localPart: String(text[..<at]), domain: String(text[at...].dropFirst()))
  }

  static func acceptance(
    _ number: UInt64, to deliveries: [LocalDelivery] = [], queue recipients: [String] = [], due: Int64 = 0, prefix: Int = 200,
    summary: MessageSummary = MessageSummary(messageID: "m@example.net", subject: "Hello")
  ) -> Acceptance {
    Acceptance(
      id: id(number), received: Timestamp(seconds: 1_790_000_000), envelope: Envelope(reversePath: address("sender@example.net")),
      prefix: Array(repeating: 0x52, count: prefix), summary: summary, census: BodyCensus(size: 4_096, hops: 1),
      deliveries: deliveries,
      recipients: recipients.map {
        QueuedRecipient(address: address($0), destination: address($0).domain, due: Timestamp(seconds: due))
      },
      trace: [TraceEvent(time: Timestamp(seconds: 1_790_000_000), kind: .received, detail: [.init("client", "[192.0.2.1]")])])
  }

  static func delivery(_ account: Account, mailbox: String = "INBOX") -> LocalDelivery {
    LocalDelivery(account: account.id, mailbox: mailbox, recipient: account.address)
  }
}

extension MailStore {
  /// A domain with an account in it.
  func makeAccount(_ text: String, quota: Int64 = 0) async throws -> Account {
    let address = Make.address(text)
    do {
      try await addDomain(Domain(name: address.domain, kind: .local))
    } catch StoreError.exists {}
    return try await addAccount(address: address, passwordHash: "", quota: quota, created: Timestamp(seconds: 1))
  }

  func all(_ body: BodyID) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let piece = try await read(body, range: bytes.count..<(bytes.count + 1_048_576))
      guard piece.readableBytes > 0 else { return bytes }
      bytes += piece.readableBytesView
    }
  }
}
