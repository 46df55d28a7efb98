import Bytes
import Foundation
import MailModel
import MailStore

/// `martlet export maildir`: one file a message, bytes as FETCH gives them.
///
/// Layout `maildir++` (INBOX at the top, `.Sent`, `.Archive.2026`) or `nested` (`Archive/2026`). Flags stand in the names, keywords as
/// the letters `a` to `z` that each folder's `dovecot-keywords` names, dates as the files' own, subscriptions in `subscriptions`.
public struct ExportMaildir: AdminCommand {
  public enum Layout: String, Hashable, Sendable, CaseIterable {
    case maildirPlusPlus = "maildir++"
    case nested
  }

  public var account: String
  public var layout: Layout
  /// One mailbox only; nil for all.
  public var mailbox: String?

  public init(account: String, layout: Layout, mailbox: String?) {
    self.account = account
    self.layout = layout
    self.mailbox = mailbox
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let account = try await context.account(self.account)
    let mailboxes = try await ExportSelection.mailboxes(of: account, named: mailbox, context)
    var progress = ExportProgress(mailboxes)
    var damage = ExportDamage()
    try await context.output.file(.folder(path: ""))
    for mailbox in mailboxes {
      let folder = MaildirNames.folder(mailbox.name, layout)
      for part in ["cur", "new", "tmp"] { try await context.output.file(.folder(path: folder + part)) }
      let unnamed = try await export(mailbox, to: folder, context, &progress, &damage)
      if !unnamed.isEmpty {
        try await context.warn("\(mailbox.name): more than 26 keywords; not kept: \(unnamed.sorted().joined(separator: " "))")
      }
    }
    let subscribed = mailboxes.filter { $0.isSubscribed && $0.name != "INBOX" }.map { MaildirNames.subscription($0.name, layout) }
    if !subscribed.isEmpty {
      try await ExportSelection.write(Array((subscribed.joined(separator: "\n") + "\n").utf8), to: "subscriptions", context)
    }
    try await context.output.progress(progress.report(isLast: true))
    try await context.say("\(progress.done) messages of \(account.address.wire) in \(mailboxes.count) folders")
    try damage.check()
  }

  /// - Returns: keywords that found no letter.
  private func export(
    _ mailbox: Mailbox, to folder: String, _ context: AdminContext, _ progress: inout ExportProgress, _ damage: inout ExportDamage
  ) async throws(AdminFailure) -> Set<String> {
    var letters = KeywordLetters()
    do throws(AdminFailure) {
      try await context.eachMessage(in: mailbox) { entry throws(AdminFailure) in
        let name = MaildirNames.file(entry, in: mailbox, host: context.configuration.hostname, letters: &letters)
        do throws(AdminFailure) {
          var isBegun = false
          try await context.readWholeMessage(entry) { bytes throws(AdminFailure) in
            if !isBegun { try await context.output.file(.begin(path: folder + "cur/" + name, modified: entry.internalDate)) }
            isBegun = true
            try await context.output.file(.data(bytes))
          }
          try await context.output.file(.end)
          progress.done += 1
        } catch {
          try await damage.take(error, of: "\(mailbox.name), message \(entry.uid.rawValue)", context)
        }
        if progress.isDue { try await context.output.progress(progress.report(isLast: false)) }
      }
    } catch {
      try await damage.take(error, of: "\(mailbox.name), as far as not told", context)
    }
    if !letters.names.isEmpty {
      let lines = letters.names.enumerated().map { "\($0.offset) \($0.element)\n" }.joined()
      try await ExportSelection.write(Array(lines.utf8), to: folder + "dovecot-keywords", context)
    }
    return letters.unnamed
  }
}

/// The letters of a folder's keywords, given out as they come.
struct KeywordLetters {
  private(set) var names: [String] = []
  private(set) var unnamed: Set<String> = []
  private var places: [String: Int] = [:]

  mutating func letter(for keyword: String) -> Character? {
    let key = keyword.asciiLowercased
    if let place = places[key] { return Self.letter(place) }
    guard names.count < 26 else {
      unnamed.insert(keyword)
      return nil
    }
    places[key] = names.count
    names.append(keyword)
    return Self.letter(names.count - 1)
  }

  private static func letter(_ place: Int) -> Character { Character(Unicode.Scalar(UInt8(0x61 + min(place, 25)))) }
}

enum MaildirNames {
  /// A folder's path below the target, ending in `/` unless it is the top.
  static func folder(_ name: String, _ layout: ExportMaildir.Layout) -> String {
    guard name != "INBOX" else { return "" }
    let levels = name.split(separator: "/", omittingEmptySubsequences: false).map { encoded(String($0)) }
    switch layout {
    case .maildirPlusPlus: return "." + levels.joined(separator: ".") + "/"
    case .nested:
      // A level that is called like a part of a Maildir would be taken for it.
      return levels.map { ["cur", "new", "tmp"].contains($0) ? "&\(base64($0))-" : $0 }.joined(separator: "/") + "/"
    }
  }

  static func subscription(_ name: String, _ layout: ExportMaildir.Layout) -> String {
    name.split(separator: "/", omittingEmptySubsequences: false).map { encoded(String($0)) }
      .joined(separator: layout == .nested ? "/" : ".")
  }

  /// `1764032589.V12U7.mx.example.org,S=1234:2,FS`: unique by UIDVALIDITY and UID, in the order of dates, then UIDs.
  static func file(_ entry: MailboxEntry, in mailbox: Mailbox, host: String, letters: inout KeywordLetters) -> String {
    var flags = ""
    if entry.flags.system.contains(.draft) { flags += "D" }
    if entry.flags.system.contains(.flagged) { flags += "F" }
    if entry.flags.system.contains(.answered) { flags += "R" }
    if entry.flags.system.contains(.seen) { flags += "S" }
    if entry.flags.system.contains(.deleted) { flags += "T" }
    flags += String(entry.flags.keywords.compactMap { letters.letter(for: $0) }.sorted())
    return
      "\(max(0, entry.internalDate.seconds)).V\(mailbox.uidValidity.rawValue)U\(entry.uid.rawValue).\(host),S=\(entry.size):2,\(flags)"
  }

  /// A level in modified UTF-7 (RFC 3501, 5.1.3), with dots (Maildir++ separates by them) and control characters encoded too.
  static func encoded(_ level: String) -> String {
    var result = ""
    var pending = ""
    func flush() {
      if !pending.isEmpty { result += "&\(base64(pending))-" }
      pending = ""
    }
    for scalar in level.unicodeScalars {
      if scalar.value > 0x1F, scalar.value < 0x7F, scalar != ".", scalar != "/" {
        flush()
        result += scalar == "&" ? "&-" : String(Character(scalar))
      } else {
        pending.unicodeScalars.append(scalar)
      }
    }
    flush()
    return result
  }

  /// Base 64 of UTF-16, `,` for `/`, without padding.
  private static func base64(_ text: String) -> String {
    let bytes = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    return Data(bytes).base64EncodedString().filter { $0 != "=" }.replacingOccurrences(of: "/", with: ",")
  }
}
