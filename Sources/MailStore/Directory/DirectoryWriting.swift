import Bytes
import InternetMessage
import MailModel
import Outside

/// Domains, accounts and aliases.
extension Writer {
  // MARK: Domains

  func addDomain(_ domain: Domain) throws {
    try check(domain)
    guard try kind(ofDomain: domain.name) == nil else { throw StoreError.exists("domain \(domain.name)") }
    try write(domain)
  }

  func updateDomain(_ domain: Domain) throws {
    try check(domain)
    guard let old = try kind(ofDomain: domain.name) else { throw StoreError.notFound("domain \(domain.name)") }
    if old == .local, domain.kind != .local, try isInhabited(domain.name) {
      throw StoreError.notEmpty("domain \(domain.name) has accounts or aliases")
    }
    try write(domain)
    domainUsage[domain.name] = nil
  }

  func removeDomain(_ name: String) throws {
    let name = name.asciiLowercased
    guard try kind(ofDomain: name) != nil else { throw StoreError.notFound("domain \(name)") }
    guard try !isInhabited(name) else { throw StoreError.notEmpty("domain \(name) has accounts or aliases") }
    touched()
    domainUsage[name] = nil
    try database.run("DELETE FROM domains WHERE name = ?", .text(name))
    changes.append(.directory)
  }

  private func check(_ domain: Domain) throws(StoreError) {
    let name = domain.name
    guard !name.isEmpty, name.utf8.count <= 255, name == name.asciiLowercased,
      name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != 0x40 })
    else { throw .invalid("a domain is 1 to 255 octets in lower case") }
    guard domain.quota >= 0 else { throw .invalid("a quota is not negative") }
    if let catchAll = domain.catchAll {
      guard !catchAll.localPart.isEmpty, !catchAll.domain.isEmpty else { throw .invalid("a catch-all is a whole address") }
    }
  }

  private func write(_ domain: Domain) throws {
    touched()
    try database.run(
      "INSERT OR REPLACE INTO domains VALUES(?, ?, ?, ?, ?)", .text(domain.name), .int(Int64(domain.kind.rawValue)),
      .int(domain.quota),
      .optional(domain.catchAll?.localPart), .optional(domain.catchAll?.domain))
    changes.append(.directory)
  }

  private func kind(ofDomain name: String) throws -> Domain.Kind? {
    try database.first("SELECT kind FROM domains WHERE name = ?", [.text(name)]) {
      Domain.Kind(rawValue: UInt8(clamping: $0.int(0)))
    }
      ?? nil
  }

  private func isInhabited(_ domain: String) throws -> Bool {
    try database.first(
      "SELECT EXISTS(SELECT 1 FROM accounts WHERE domain = ?1) OR EXISTS(SELECT 1 FROM aliases WHERE domain = ?1)", [.text(domain)]
    ) { $0.int(0) != 0 } ?? false
  }

  // MARK: Accounts

  func addAccount(address: EmailAddress, passwordHash: String, quota: Int64, created: Timestamp) throws -> Account {
    let address = try checked(address)
    guard quota >= 0 else { throw StoreError.invalid("a quota is not negative") }
    guard passwordHash.utf8.count <= 1_024 else { throw StoreError.invalid("a password hash has at most 1,024 octets") }
    guard try kind(ofDomain: address.domain) == .local else { throw StoreError.notFound("local domain \(address.domain)") }
    guard try accountID(of: address) == nil else { throw StoreError.exists("account \(address.plainText)") }
    guard try !hasAlias(address) else { throw StoreError.exists("alias \(address.plainText)") }
    touched()
    let account = Account(
      id: AccountID(rawValue: numbers.take(.account)), address: address, passwordHash: passwordHash, quota: quota, created: created)
    try database.run(
      "INSERT INTO accounts VALUES(?, ?, ?, ?, ?, 1, ?, 1)", .int(account.id.rawValue), .text(address.domain),
      .text(address.localPart),
      .text(passwordHash), .int(quota), .int(created.microseconds))
    let state = try self.account(account.id)
    for (name, specialUse) in Self.defaultMailboxes {
      _ = try makeMailbox(name, of: state, specialUse: specialUse, isSubscribed: true)
    }
    changes.append(.directory)
    return account
  }

  func updateAccount(_ account: Account) throws {
    let address = try checked(account.address)
    guard account.quota >= 0, account.passwordHash.utf8.count <= 1_024 else {
      throw StoreError.invalid("a quota is not negative, a password hash has at most 1,024 octets")
    }
    let old = try self.account(account.id)
    if old.domain != address.domain {
      guard try kind(ofDomain: address.domain) == .local else { throw StoreError.notFound("local domain \(address.domain)") }
    }
    if let other = try accountID(of: address), other != account.id { throw StoreError.exists("account \(address.plainText)") }
    let isRenamed = old.address != address.plainText
    if isRenamed, try hasAlias(address) { throw StoreError.exists("alias \(address.plainText)") }
    touched()
    if isRenamed { try removeFromItsAlias(EmailAddress(plainText: old.address)) }
    try counters.flush(to: database)
    counters.forget(account.id)
    domainUsage[old.domain] = nil
    domainUsage[address.domain] = nil
    try database.run(
      "UPDATE accounts SET domain = ?, local = ?, password = ?, quota = ?, enabled = ? WHERE id = ?", .text(address.domain),
      .text(address.localPart), .text(account.passwordHash), .int(account.quota), .int(account.isEnabled ? 1 : 0),
      .int(account.id.rawValue))
    changes.append(.directory)
  }

  func removeAccount(_ id: AccountID) throws {
    let account = try account(id)
    for mailbox in account.mailboxes.values.sorted(by: { $0.id < $1.id }) { try drop(mailbox, of: account) }
    touched()
    try counters.flush(to: database)
    counters.forget(id)
    try database.run("DELETE FROM accounts WHERE id = ?", .int(id.rawValue))
    try removeFromItsAlias(EmailAddress(plainText: account.address))
    changes.append(.directory)
  }

  /// What accounts and aliases are known by: whole, both parts bounded (RFC 5321, 4.5.3.1), the local part in lower case.
  private func checked(_ address: EmailAddress) throws(StoreError) -> EmailAddress {
    let local = address.localPart
    guard !local.isEmpty, local.utf8.count <= 64, !address.domain.isEmpty, address.domain.utf8.count <= 255,
      local.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), !address.domain.utf8.contains(0x40)
    else { throw .invalid("an address has a local part of 1 to 64 octets and a domain of 1 to 255") }
    return EmailAddress(localPart: local.lowercased(), domain: address.domain)
  }

  private func accountID(of address: EmailAddress) throws -> AccountID? {
    try database.first("SELECT id FROM accounts WHERE domain = ? AND local = ?", [.text(address.domain), .text(address.localPart)])
    {
      AccountID(rawValue: $0.int(0))
    }
  }

  // MARK: Aliases

  func setAlias(_ alias: Alias) throws {
    let address = try checked(alias.address)
    guard (1...limits.aliasTargets).contains(alias.targets.count) else {
      throw StoreError.invalid("an alias has 1 to \(limits.aliasTargets) targets")
    }
    var targets: [EmailAddress] = []
    var seen: Set<EmailAddress> = []
    for target in alias.targets {
      guard !target.localPart.isEmpty, target.localPart.utf8.count <= 64, !target.domain.isEmpty, target.domain.utf8.count <= 255
      else {
        throw StoreError.invalid("a target has a local part of 1 to 64 octets and a domain of 1 to 255")
      }
      if seen.insert(target).inserted { targets.append(target) }
    }
    guard try kind(ofDomain: address.domain) == .local else { throw StoreError.notFound("local domain \(address.domain)") }
    // Its own name among the targets means the account of that name: a copy is kept.
    if seen.contains(where: { isName(of: address, $0) }), try accountID(of: address) == nil {
      throw StoreError.invalid("an alias can't point to itself unless there is an account of that name")
    }
    touched()
    try database.run(
      "INSERT OR REPLACE INTO aliases VALUES(?, ?, ?)", .text(address.domain), .text(address.localPart),
      .blob(AddressesRecord.packed(targets)))
    changes.append(.directory)
  }

  func removeAlias(_ address: EmailAddress) throws {
    let address = try checked(address)
    guard try hasAlias(address) else { throw StoreError.notFound("alias \(address.plainText)") }
    touched()
    try database.run("DELETE FROM aliases WHERE domain = ? AND local = ?", .text(address.domain), .text(address.localPart))
    changes.append(.directory)
  }

  private func isName(of address: EmailAddress, _ target: EmailAddress) -> Bool {
    target.domain == address.domain && target.localPart.lowercased() == address.localPart
  }

  /// The account of this name goes: an alias of the same name no longer leads to it.
  private func removeFromItsAlias(_ address: EmailAddress) throws {
    let packed = try database.first(
      "SELECT targets FROM aliases WHERE domain = ? AND local = ?", [.text(address.domain), .text(address.localPart)]
    ) { $0.blob(0) }
    guard let packed else { return }
    let targets = AddressesRecord.unpacked(packed)
    let left = targets.filter { !isName(of: address, $0) }
    guard left.count < targets.count else { return }
    if left.isEmpty { return try removeAlias(address) }
    try database.run(
      "UPDATE aliases SET targets = ? WHERE domain = ? AND local = ?", .blob(AddressesRecord.packed(left)), .text(address.domain),
      .text(address.localPart))
  }

  private func hasAlias(_ address: EmailAddress) throws -> Bool {
    try database.first("SELECT 1 FROM aliases WHERE domain = ? AND local = ?", [.text(address.domain), .text(address.localPart)]) {
      _ in
      true
    } ?? false
  }
}
