import Bytes
import MailModel
import MailStore

/// What an export takes.
enum ExportSelection {
  static func mailboxes(of account: Account, named name: String?, _ context: AdminContext) async throws(AdminFailure) -> [Mailbox] {
    let all = try await context.mailboxes(of: account)
    guard let name else { return all }
    let wanted = name.asciiLowercased == "inbox" ? "INBOX" : name
    guard let found = all.first(where: { $0.name == wanted }) else {
      throw AdminFailure("\(account.address.wire) has no mailbox \(name)")
    }
    return [found]
  }

  static func write(_ bytes: [UInt8], to path: String, _ context: AdminContext) async throws(AdminFailure) {
    try await context.output.file(.begin(path: path, modified: nil))
    try await context.output.file(.data(bytes))
    try await context.output.file(.end)
  }
}

/// How far an export is.
struct ExportProgress {
  var done: Int64 = 0
  private let total: Int64

  init(_ mailboxes: [Mailbox]) { total = mailboxes.reduce(0) { $0.addedClamped(Int64($1.messages)) } }

  /// Whether this count is worth a report: each one to begin with, then fewer.
  var isDue: Bool { done < 16 || done % 64 == 0 }

  func report(isLast: Bool) -> AdminProgress {
    AdminProgress(done: done, total: max(total, done), what: "exported", isLast: isLast)
  }
}

/// What an export could not read: told as it comes, left out, and the reason for a failure at the end.
struct ExportDamage {
  private(set) var count: Int64 = 0

  /// Takes note of what the store could not give; anything else is thrown on.
  mutating func take(_ failure: AdminFailure, of what: String, _ context: AdminContext) async throws(AdminFailure) {
    guard failure.isOfStore else { throw failure }
    count = count.addedClamped(1)
    try await context.warn("\(what) was left out: \(failure.message)")
  }

  /// At the end.
  func check() throws(AdminFailure) {
    guard count > 0 else { return }
    throw AdminFailure(
      "\(count) \(count == 1 ? "part" : "parts") could not be read and \(count == 1 ? "was" : "were") left out, everything else was exported"
    )
  }
}
