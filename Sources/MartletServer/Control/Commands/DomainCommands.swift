import Configuration
import Identity
import InternetMessage
import MailModel
import MailStore

/// `martlet domain add`
public struct AddDomain: AdminCommand {
  public var name: String
  public var isRelay: Bool
  public var quota: ByteCount
  public var catchAll: String?

  public init(name: String, isRelay: Bool, quota: ByteCount, catchAll: String?) {
    self.name = name
    self.isRelay = isRelay
    self.quota = quota
    self.catchAll = catchAll
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let name = try DomainWords.name(self.name)
    if isRelay, catchAll != nil || quota.octets > 0 {
      throw AdminFailure("a relayed domain has no quota and no catch-all: its mail is not kept here", exitCode: 64)
    }
    let target: EmailAddress? = if let catchAll { try context.address(catchAll) } else { nil }
    let domain = Domain(name: name, kind: isRelay ? .relay : .local, quota: quota.octets, catchAll: target)
    try await context.asking { () async throws(StoreError) in try await context.store.addDomain(domain) }
    try await context.directoryChanged()
    try await DomainWords.warnOfCatchAll(domain, context)
    try await context.say("added \(name), \(isRelay ? "relayed by route or MX" : "delivered here")")
  }
}

/// `martlet domain update`
public struct UpdateDomain: AdminCommand {
  public var name: String
  /// nil leaves it.
  public var quota: ByteCount?
  /// nil leaves it, empty takes it away.
  public var catchAll: String?

  public init(name: String, quota: ByteCount?, catchAll: String?) {
    self.name = name
    self.quota = quota
    self.catchAll = catchAll
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let name = try DomainWords.name(self.name)
    guard quota != nil || catchAll != nil else {
      throw AdminFailure("nothing to change: give --quota or --catch-all", exitCode: 64)
    }
    guard var domain = try await context.directory().domains.first(where: { $0.name == name }) else {
      throw AdminFailure("no such domain: \(name)")
    }
    if domain.kind == .relay { throw AdminFailure("\(name) is relayed: it has no quota and no catch-all") }
    if let quota { domain.quota = quota.octets }
    if let catchAll { domain.catchAll = catchAll.isEmpty ? nil : try context.address(catchAll) }
    let updated = domain
    try await context.asking { () async throws(StoreError) in try await context.store.updateDomain(updated) }
    try await context.directoryChanged()
    if catchAll != nil { try await DomainWords.warnOfCatchAll(updated, context) }
    try await context.say("updated \(name)")
  }
}

/// `martlet domain remove`
public struct RemoveDomain: AdminCommand {
  public var name: String

  public init(name: String) { self.name = name }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let name = try DomainWords.name(self.name)
    let contents = try await context.directory()
    guard contents.domains.contains(where: { $0.name == name }) else { throw AdminFailure("no such domain: \(name)") }
    let accounts = contents.accounts.count { $0.address.domain == name }
    let aliases = contents.aliases.count { $0.address.domain == name }
    if accounts + aliases > 0 {
      throw AdminFailure("\(name) still has \(accounts) accounts and \(aliases) aliases; remove them first")
    }
    try await context.asking { () async throws(StoreError) in try await context.store.removeDomain(name) }
    try await context.directoryChanged()
    try await context.say("removed \(name)")
  }
}

/// `martlet domain list`
public struct ListDomains: AdminCommand {
  public var isJSON: Bool

  public init(isJSON: Bool) { self.isJSON = isJSON }

  struct Row: Encodable {
    var name: String
    var kind: String
    var accounts: Int
    var aliases: Int
    var quota: Int64
    var catchAll: String?
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let contents = try await context.directory()
    let accounts = Dictionary(contents.accounts.map { ($0.address.domain, 1) }, uniquingKeysWith: +)
    let aliases = Dictionary(contents.aliases.map { ($0.address.domain, 1) }, uniquingKeysWith: +)
    let rows = contents.domains.sorted { $0.name < $1.name }.map { domain in
      Row(
        name: domain.name, kind: domain.kind == .local ? "local" : "relay", accounts: accounts[domain.name] ?? 0,
        aliases: aliases[domain.name] ?? 0, quota: domain.quota, catchAll: domain.catchAll?.wire)
    }
    if isJSON { return try await context.sayJSON(rows) }
    var table = TextTable(
      ("DOMAIN", .left), ("KIND", .left), ("ACCOUNTS", .right), ("ALIASES", .right), ("QUOTA", .right), ("CATCH-ALL", .left))
    for row in rows {
      let quota = row.quota == 0 ? "none" : ByteCount(octets: row.quota).description
      table.add(row.name, row.kind, "\(row.accounts)", "\(row.aliases)", quota, row.catchAll ?? "")
    }
    try await context.say(table, orElse: "no domains; \"martlet domain add NAME\" adds one")
  }
}

/// Words that name domains.
enum DomainWords {
  /// A catch-all that can't take mail now loses nothing, since it is refused at once; but it is hardly what was meant.
  static func warnOfCatchAll(_ domain: Domain, _ context: AdminContext) async throws(AdminFailure) {
    guard let target = domain.catchAll else { return }
    let snapshot = DirectorySnapshot(
      try await context.directory(), settings: DirectorySettings(context.configuration.directory))
    switch snapshot.resolve(target) {
    case .deliverable, .relayDomain, .unknownDomain: return
    case .unknownUser, .disabled, .loop, .tooManyTargets:
      try await context.warn("warning: \(target.wire) can't take mail now: mail for unknown names of \(domain.name) is refused")
    }
  }

  /// A domain's name in A-labels, lower case.
  static func name(_ text: String) throws(AdminFailure) -> String {
    var text = text
    if text.hasSuffix(".") { text.removeLast() }
    do {
      let address = try AddressParser(allowsUTF8: true).mailbox("x@" + text)
      guard !address.isAddressLiteral, let name = address.asciiDomain else { throw AdminFailure("\(text) is not a domain name") }
      return name
    } catch let failure as AdminFailure {
      throw failure
    } catch {
      throw AdminFailure("\(text) is not a domain name")
    }
  }
}
