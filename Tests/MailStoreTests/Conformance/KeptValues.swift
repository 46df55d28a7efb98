import InternetMessage
import MailModel
import MailStore
import NIOCore
import Outside

extension StoreConformance {
  /// What was put in comes out again, to the octet and the microsecond, at once and after opening again.
  static func keepsEveryValue(_ factory: any StoreFactory) async throws -> [String] {
    var store = try await factory.open()
    let account = try await store.makeAccount("keep@example.test")
    try await store.updateDomain(Domain(name: "example.test", kind: .local, quota: 50_000_000))
    _ = try await store.createMailbox("Papers/2026", of: account.id, specialUse: "Archive")
    try await store.setSubscribed(true, mailbox: "Papers/2026", of: account.id)
    var kept: [Kept] = []
    for (number, size) in [0, 1, 300, 4_000, 9_000, 70_000, 700_000].enumerated() {
      kept.append(try await accept(number + 1, size, account, store))
      kept.append(try await append(number + 1, size, account, store))
    }
    var wrong = try await differences(account, kept, store)
    await store.close()
    store = try await factory.open()
    wrong += try await differences(account, kept, store).map { "opened again: \($0)" }
    await store.close()
    return wrong
  }

  private struct Kept {
    var mailbox: String
    var uid: UID
    var bytes: [UInt8]
    var prefix: [UInt8]
    var internalDate: Timestamp
    var summary: MessageSummary
    /// The one whose thread it is in, counted from the first; nil: its own.
    var thread: Int?
  }

  private static func bytes(_ size: Int, seed: UInt64) -> [UInt8] {
    let random = SeededRandom(seed)
    return (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private static func spooled(_ bytes: [UInt8], _ store: any MailStore) async throws -> SpooledBody {
    let spool = store.makeSpool()
    var rest = ByteBuffer(bytes: bytes)
    while let piece = rest.readSlice(length: min(10_000, rest.readableBytes)), piece.readableBytes > 0 {
      try await spool.append(piece)
    }
    return try await spool.finish()
  }

  private static func summary(_ number: Int) -> MessageSummary {
    var summary = MessageSummary(messageID: "\(number)@kept.example", subject: "Grüße \(number)")
    // All but the first answer the first.
    if number > 1 { summary.references = ["1@kept.example"] }
    summary.envelope = Array("(\"\(number)\" NIL)".utf8)
    summary.bodyStructure = bytes(40, seed: UInt64(number))
    summary.baseSubject = "GRÜSSE"
    summary.sentDate = Int64(number) - 3
    summary.from = "Ünal <u@example.net>"
    summary.preview = "p\u{0}q"
    summary.hasAttachment = number % 2 == 0
    return summary
  }

  private static func accept(_ number: Int, _ size: Int, _ account: Account, _ store: any MailStore) async throws -> Kept {
    let body = bytes(size, seed: UInt64(1_000 + number))
    var acceptance = Make.acceptance(
      UInt64(number), to: [Make.delivery(account)], prefix: 10 + number, summary: summary(number))
    acceptance.received = Timestamp(microseconds: 1_790_000_000_123_456 &+ Int64(number))
    let receipt = try await store.accept(acceptance, body: try await spooled(body, store), claiming: false)
    return Kept(
      mailbox: "INBOX", uid: receipt.deliveries.first?.uid ?? UID(rawValue: 0), bytes: acceptance.prefix + body,
      prefix: Array("Return-Path: <sender@example.net>\r\nDelivered-To: keep@example.test\r\n".utf8),
      internalDate: acceptance.received, summary: summary(number), thread: 0)
  }

  private static func append(_ number: Int, _ size: Int, _ account: Account, _ store: any MailStore) async throws -> Kept {
    let body = bytes(size, seed: UInt64(2_000 + number))
    let date = Timestamp(microseconds: -5 &* Int64(number))
    let papers = try await store.mailbox("Papers/2026", of: account.id)
    let summary = MessageSummary(messageID: "a\(number)@alone.example", subject: "alone")
    let message = AppendedMessage(flags: Flags([.flagged], keywords: ["$Todo"]), internalDate: date, summary: summary)
    let uid = try await store.append(message, body: try await spooled(body, store), to: papers.id)
    return Kept(
      mailbox: "Papers/2026", uid: uid, bytes: body, prefix: [], internalDate: date, summary: summary, thread: nil)
  }

  private static func differences(_ account: Account, _ kept: [Kept], _ store: any MailStore) async throws -> [String] {
    var wrong: [String] = []
    let boxes = try await store.mailboxes(of: account.id)
    let uses = Dictionary(boxes.map { ($0.name, $0.specialUse) }) { first, _ in first }
    if uses["Papers/2026"] != "Archive" || uses["Sent"] != "Sent" || uses["Papers"] != .some(nil) {
      wrong.append("special uses \(uses)")
    }
    let subscribed = Set(boxes.filter(\.isSubscribed).map(\.name))
    if !subscribed.contains("Papers/2026") || subscribed.contains("Papers") { wrong.append("subscribed to \(subscribed.sorted())") }
    let usage = try await store.usage(of: account.id)
    let octets = kept.reduce(Int64(0)) { $0 + Int64($1.bytes.count + $1.prefix.count) }
    if usage.domainQuota != 50_000_000 || usage.domainOctets != octets || usage.octets != octets { wrong.append("usage \(usage)") }
    var threads: [Int64] = []
    for (index, message) in kept.enumerated() {
      guard let box = boxes.first(where: { $0.name == message.mailbox }),
        let entry = try await store.entries(in: box.id, from: message.uid, limit: 1).first, entry.uid == message.uid
      else {
        wrong.append("message \(index) is missing")
        continue
      }
      threads.append(entry.threadID)
      if entry.internalDate != message.internalDate { wrong.append("message \(index): internal date \(entry.internalDate)") }
      if entry.savedDate.microseconds < 1_700_000_000_000_000 { wrong.append("message \(index): saved \(entry.savedDate)") }
      if entry.summary != message.summary { wrong.append("message \(index): summary \(entry.summary)") }
      if entry.deliveryPrefix != message.prefix { wrong.append("message \(index): prefix") }
      if entry.size != message.bytes.count + message.prefix.count { wrong.append("message \(index): size \(entry.size)") }
      if try await store.all(entry.body) != message.bytes { wrong.append("message \(index): other bytes") }
      if let thread = message.thread {
        if entry.threadID != threads[thread] { wrong.append("message \(index): another thread") }
      } else if threads.dropLast().contains(entry.threadID) {
        wrong.append("message \(index): in another's thread")
      }
    }
    return wrong
  }

  /// Changes that the log has forgotten are refused as stale; who knows nothing yet is told everything that is there.
  static func tellsStaleness(_ factory: any StoreFactory) async throws -> [String] {
    let store = try await factory.open()
    let account = try await store.makeAccount("old@example.test")
    for number in 1...3 {
      _ = try await store.accept(
        Make.acceptance(UInt64(number), to: [Make.delivery(account)]), body: Make.body(9), claiming: false)
    }
    let inbox = try await store.mailbox("INBOX", of: account.id)
    _ = try await store.expunge([UID(rawValue: 1)], from: inbox.id, force: true)
    var wrong: [String] = []
    if try await store.changes(in: inbox.id, since: inbox.highestModSeq).vanished != [UID(rawValue: 1)] { wrong.append("not told") }
    try await factory.forgetChanges(in: store)
    do throws(StoreError) {
      _ = try await store.changes(in: inbox.id, since: inbox.highestModSeq)
      wrong.append("forgotten changes are told as none")
    } catch {
      if error != .stale { wrong.append("forgotten changes: \(error)") }
    }
    let all = try await store.changes(in: inbox.id, since: ModSeq(rawValue: 0)).changed.map(\.uid.rawValue)
    if all != [2, 3] { wrong.append("from the beginning: \(all)") }
    await store.close()
    return wrong
  }
}
