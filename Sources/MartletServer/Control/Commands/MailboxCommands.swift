import Bytes
import Configuration
import MailModel
import MailStore

/// `martlet mailbox list`
public struct ListMailboxes: AdminCommand {
  public var account: String
  public var isJSON: Bool

  public init(account: String, isJSON: Bool) {
    self.account = account
    self.isJSON = isJSON
  }

  struct Row: Encodable {
    var name: String
    var messages: Int
    var unseen: Int
    var size: Int64
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let account = try await context.account(account)
    let mailboxes = try await context.mailboxes(of: account)
    if isJSON {
      return try await context.sayJSON(
        mailboxes.map { Row(name: $0.name, messages: $0.messages, unseen: $0.unseen, size: $0.size) })
    }
    var table = TextTable(("MAILBOX", .left), ("MESSAGES", .right), ("UNSEEN", .right), ("SIZE", .right))
    for mailbox in mailboxes {
      table.add(mailbox.name, "\(mailbox.messages)", "\(mailbox.unseen)", ByteCount(octets: mailbox.size).description)
    }
    try await context.say(table, orElse: "no mailboxes")
  }
}

/// `martlet mailbox show`
public struct ShowMailbox: AdminCommand {
  public var account: String
  public var mailbox: String
  /// The message to print as it is; nil lists the mailbox.
  public var uid: UInt32?
  public var isJSON: Bool

  public init(account: String, mailbox: String, uid: UInt32?, isJSON: Bool) {
    self.account = account
    self.mailbox = mailbox
    self.uid = uid
    self.isJSON = isJSON
  }

  struct Row: Encodable {
    var uid: UInt32
    var flags: [String]
    var date: String
    var size: Int
    var from: String
    var subject: String
    var messageID: String?

    init(_ entry: MailboxEntry) {
      uid = entry.uid.rawValue
      flags = FlagText.names(entry.flags)
      date = entry.internalDate.iso8601
      size = entry.size
      from = entry.summary.from
      subject = entry.summary.subject
      messageID = entry.summary.messageID
    }
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let account = try await context.account(self.account)
    let name = mailbox.asciiLowercased == "inbox" ? "INBOX" : mailbox
    let mailbox = try await context.asking { () async throws(StoreError) in try await context.store.mailbox(name, of: account.id) }
    guard let uid else { return try await list(mailbox, context) }
    let entries = try await context.asking { () async throws(StoreError) in
      try await context.store.entries(in: mailbox.id, from: UID(rawValue: uid), limit: 1)
    }
    guard let entry = entries.first, entry.uid.rawValue == uid else { throw AdminFailure("\(name) has no message \(uid)") }
    if isJSON { return try await context.sayJSON(Row(entry)) }
    try await context.readMessage(entry) { bytes throws(AdminFailure) in try await context.output.write(bytes, to: .output) }
  }

  private func list(_ mailbox: Mailbox, _ context: AdminContext) async throws(AdminFailure) {
    var rows: [Row] = []
    var table = TextTable(("UID", .right), ("FLAGS", .left), ("DATE", .left), ("SIZE", .right), ("FROM", .left), ("SUBJECT", .left))
    try await context.eachMessage(in: mailbox) { entry throws(AdminFailure) in
      if isJSON {
        rows.append(Row(entry))
      } else {
        table.add(
          "\(entry.uid.rawValue)", FlagText.names(entry.flags).joined(separator: " "), context.readable(entry.internalDate),
          ByteCount(octets: Int64(entry.size)).description, String(entry.summary.from.prefix(40)),
          String(entry.summary.subject.prefix(70)))
      }
    }
    if isJSON { return try await context.sayJSON(rows) }
    try await context.say(table, orElse: "\(mailbox.name) is empty")
  }
}

/// Flags as IMAP names them.
enum FlagText {
  static func names(_ flags: Flags) -> [String] {
    var names: [String] = []
    if flags.system.contains(.seen) { names.append("\\Seen") }
    if flags.system.contains(.answered) { names.append("\\Answered") }
    if flags.system.contains(.flagged) { names.append("\\Flagged") }
    if flags.system.contains(.deleted) { names.append("\\Deleted") }
    if flags.system.contains(.draft) { names.append("\\Draft") }
    return names + flags.keywords
  }
}

extension AdminContext {
  /// The mailboxes of an account: INBOX first, then by name.
  func mailboxes(of account: Account) async throws(AdminFailure) -> [Mailbox] {
    let found = try await asking { () async throws(StoreError) in try await store.mailboxes(of: account.id) }
    return found.sorted { left, right in
      if (left.name == "INBOX") != (right.name == "INBOX") { return left.name == "INBOX" }
      return left.name < right.name
    }
  }

  /// Calls `body` for each message of a mailbox, in UID order. Messages that come meanwhile may or may not be among them.
  func eachMessage(in mailbox: Mailbox, _ body: (MailboxEntry) async throws(AdminFailure) -> Void) async throws(AdminFailure) {
    var next = UID(rawValue: 1)
    while true {
      let start = next
      let entries = try await asking { () async throws(StoreError) in
        try await store.entries(in: mailbox.id, from: start, limit: 200)
      }
      for entry in entries { try await body(entry) }
      // A UID that does not rise is damage: what follows would come again and again.
      guard let last = entries.last, last.uid.rawValue < .max, last.uid >= start else { return }
      next = UID(rawValue: last.uid.rawValue + 1)
    }
  }

  /// Reads a message as FETCH gives it, in pieces of at most 1 MiB.
  func readMessage(_ entry: MailboxEntry, _ body: ([UInt8]) async throws(AdminFailure) -> Void) async throws(AdminFailure) {
    if !entry.deliveryPrefix.isEmpty { try await body(entry.deliveryPrefix) }
    let end = entry.size.subtractedClamped(entry.deliveryPrefix.count)
    var offset = 0
    while offset < end {
      let range = offset..<min(offset.addedClamped(Self.piece), end)
      let piece = try await asking { () async throws(StoreError) in try await store.read(entry.body, range: range) }
      guard piece.readableBytes > 0 else { throw AdminFailure(.unavailable("it ends at \(offset) of \(end) octets")) }
      try await body(Array(piece.readableBytesView))
      offset += piece.readableBytes
    }
  }

  /// Octets read at a time: 1 MiB.
  private static let piece = 1_048_576

  /// As `readMessage`, but gives nothing of a message that can't be read to its end: a longer one is read twice for it.
  func readWholeMessage(_ entry: MailboxEntry, _ body: ([UInt8]) async throws(AdminFailure) -> Void) async throws(AdminFailure) {
    guard entry.size > Self.piece else {
      var whole: [UInt8] = []
      try await readMessage(entry) { bytes throws(AdminFailure) in whole += bytes }
      return try await body(whole)
    }
    try await readMessage(entry) { _ throws(AdminFailure) in }
    try await readMessage(entry, body)
  }
}
