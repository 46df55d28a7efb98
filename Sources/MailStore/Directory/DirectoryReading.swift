import InternetMessage
import MailModel
import Outside

/// Reading domains, accounts and aliases.
enum DirectoryReading {
  static func contents(in database: Database) throws -> DirectoryContents {
    let domains = try database.all("SELECT name, kind, quota, catch_local, catch_domain FROM domains ORDER BY name", []) { row in
      Domain(
        name: row.text(0), kind: Domain.Kind(rawValue: UInt8(clamping: row.int(1))) ?? .relay, quota: row.int(2),
        catchAll: row.optionalText(3).map { EmailAddress(localPart: $0, domain: row.text(4)) })
    }
    let accounts = try database.all(
      "SELECT id, local, domain, password, quota, enabled, created FROM accounts ORDER BY domain, local", []
    ) { account($0) }
    let aliases = try database.all("SELECT local, domain, targets FROM aliases ORDER BY domain, local", []) { row in
      Alias(
        address: EmailAddress(localPart: row.text(0), domain: row.text(1)), targets: AddressesRecord.unpacked(row.blob(2)))
    }
    return DirectoryContents(domains: domains, accounts: accounts, aliases: aliases)
  }

  static func account(_ address: EmailAddress, in database: Database) throws -> Account {
    let found = try database.first(
      "SELECT id, local, domain, password, quota, enabled, created FROM accounts WHERE domain = ? AND local = ?",
      [.text(address.domain), .text(address.localPart.lowercased())]
    ) { account($0) }
    guard let found else { throw StoreError.notFound("account \(address.plainText)") }
    return found
  }

  private static func account(_ row: Row) -> Account {
    Account(
      id: AccountID(rawValue: row.int(0)), address: EmailAddress(localPart: row.text(1), domain: row.text(2)),
      passwordHash: row.text(3),
      quota: row.int(4), isEnabled: row.int(5) != 0, created: Timestamp(microseconds: row.int(6)))
  }
}
