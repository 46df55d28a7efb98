import Bytes
import Configuration
import InternetMessage
import MailModel
import MailStore

/// `martlet account import`: many accounts at once, a line each: `ADDRESS`, `ADDRESS,QUOTA` or `ADDRESS,QUOTA,HASH`. Empty lines and those that
/// begin with `#` are none.
///
/// Every line is judged before the first account is made. Accounts that are there already are left as they are and counted, so an import
/// that was broken off is given again.
public struct ImportAccounts: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool) { self.isJSON = isJSON }

  /// Accounts that are being made at a time; they share transactions.
  static let atOnce = 100

  struct Line: Hashable, Sendable {
    var address: EmailAddress
    var quota: Int64
    var hash: String
  }

  struct Report: Encodable {
    var added: Int
    /// Were there already.
    var existing: Int
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let contents = try await context.directory()
    let lines = try Self.lines(context, local: Set(contents.domains.filter { $0.kind == .local }.map(\.name)))
    var known = Set(contents.accounts.map(\.address.lookupKey))
    let new = lines.filter { known.insert($0.address.lookupKey).inserted }
    let (added, failure) = await add(new, context)
    if added > 0 { try await context.directoryChanged() }
    if var failure {
      failure.message += "; \(added) of \(new.count) were added, the same command adds the rest"
      throw failure
    }
    let report = Report(added: added, existing: lines.count - added)
    if isJSON { return try await context.sayJSON(report) }
    try await context.say("\(report.added) added, \(report.existing) were there already")
  }

  /// How many were added, and what went wrong at one of them.
  private func add(_ lines: [Line], _ context: AdminContext) async -> (added: Int, failure: AdminFailure?) {
    let created = context.clock.now()
    let store = context.store
    var added = 0
    for start in stride(from: 0, to: lines.count, by: Self.atOnce) {
      let part = lines[start..<min(start + Self.atOnce, lines.count)]
      let failure = await withTaskGroup(of: AdminFailure?.self) { group in
        for line in part {
          group.addTask {
            do throws(StoreError) {
              _ = try await store.addAccount(address: line.address, passwordHash: line.hash, quota: line.quota, created: created)
              return nil
            } catch {
              return AdminFailure(error)
            }
          }
        }
        var failure: AdminFailure?
        for await one in group {
          if let one { failure = failure ?? one } else { added += 1 }
        }
        return failure
      }
      if let failure { return (added, failure) }
    }
    return (added, nil)
  }

  private static func lines(_ context: AdminContext, local: Set<String>) throws(AdminFailure) -> [Line] {
    var lines: [Line] = []
    var number = 0
    for raw in context.input.split(separator: 0x0A, omittingEmptySubsequences: false) {
      number += 1
      let bytes = raw.last == 0x0D ? raw.dropLast() : raw
      guard let first = bytes.first, first != 0x23 else { continue }
      do throws(AdminFailure) {
        guard let line = String(validating: bytes, as: UTF8.self) else { throw AdminFailure("it is not UTF-8") }
        lines.append(try self.line(line, context, local))
      } catch {
        throw AdminFailure("line \(number): \(error.message)", exitCode: 65)
      }
    }
    return lines
  }

  private static func line(_ text: String, _ context: AdminContext, _ local: Set<String>) throws(AdminFailure) -> Line {
    // A hash has commas of its own: $argon2id$v=19$m=65536,t=3,p=4$...
    let fields = text.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    let given = try context.address(fields.first ?? "")
    let address = EmailAddress(localPart: given.localPart.lowercased(), domain: given.domain)
    guard local.contains(address.domain) else { throw AdminFailure("\(address.domain) is not a domain that is delivered here") }
    var quota: Int64 = 0
    if fields.count > 1, !fields[1].isEmpty {
      guard let size = ByteCount(fields[1]), size.octets >= 0 else { throw AdminFailure("\(fields[1]) is not a size like 2GB") }
      quota = size.octets
    }
    let hash = fields.count > 2 ? fields[2] : ""
    guard hash.isEmpty || PasswordInput.isHash(hash) else { throw AdminFailure("the third field is not an Argon2id hash") }
    return Line(address: address, quota: quota, hash: hash)
  }
}
