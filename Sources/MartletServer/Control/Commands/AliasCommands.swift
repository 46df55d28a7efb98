import Identity
import InternetMessage
import MailModel
import MailStore

/// `martlet alias add`
///
/// The address may be an account's: its mail goes to the targets then. Its own address among them means the account: a copy is kept.
public struct AddAlias: AdminCommand {
  public var address: String
  /// Addresses, several in one word with commas between.
  public var targets: [String]
  /// Takes the place of an alias that is there.
  public var replaces: Bool

  public init(address: String, targets: [String], replaces: Bool) {
    self.address = address
    self.targets = targets
    self.replaces = replaces
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    if address.hasPrefix("@") { return try await setCatchAll(context) }
    let given = try context.address(address)
    let address = EmailAddress(localPart: given.localPart.lowercased(), domain: given.domain)
    var list: [EmailAddress] = []
    for word in targets.flatMap({ $0.split(separator: ",") }) {
      let target = try context.address(String(word.filter { $0 != " " }))
      if !list.contains(target) { list.append(target) }
    }
    guard !list.isEmpty else { throw AdminFailure("an alias needs at least one target", exitCode: 64) }
    let contents = try await context.directory()
    guard contents.domains.contains(where: { $0.name == address.domain && $0.kind == .local }) else {
      throw AdminFailure("\(address.domain) is not a domain that is delivered here")
    }
    if !replaces, contents.aliases.contains(where: { $0.address.lookupKey == address.lookupKey }) {
      throw AdminFailure("\(address.wire) is an alias already; --replace gives it these targets")
    }
    let alias = Alias(address: address, targets: list)
    let undeliverable = try check(alias, contents, context)
    try await context.asking { () async throws(StoreError) in try await context.store.setAlias(alias) }
    try await context.directoryChanged()
    for target in undeliverable { try await context.warn("warning: \(target.wire) can't take mail now") }
    if contents.accounts.contains(where: { $0.address.lookupKey == address.lookupKey }),
      !list.contains(where: { $0.lookupKey == address.lookupKey })
    {
      try await context.warn(
        "note: mail for \(address.wire) is forwarded only; to keep a copy, name \(address.wire) among the targets too")
    }
    try await context.say("added \(address.wire) -> \(list.map(\.wire).joined(separator: ", "))")
  }

  /// `@example.org` stands for all unknown names of the domain: its catch-all.
  private func setCatchAll(_ context: AdminContext) async throws(AdminFailure) {
    let name = try DomainWords.name(String(address.dropFirst()))
    guard targets.count == 1, let target = targets.first, !target.contains(",") else {
      throw AdminFailure("a catch-all has one target; it may be an alias for several", exitCode: 64)
    }
    let domain = try await context.directory().domains.first { $0.name == name }
    if !replaces, let present = domain?.catchAll {
      throw AdminFailure("unknown names of \(name) go to \(present.wire) already; --replace gives them this target")
    }
    try await UpdateDomain(name: name, quota: nil, catchAll: target).run(context)
  }

  /// Refuses an alias that would lead back to itself; the targets that can't take mail.
  private func check(_ alias: Alias, _ contents: DirectoryContents, _ context: AdminContext) throws(AdminFailure) -> [EmailAddress]
  {
    var after = contents
    after.aliases.removeAll { $0.address.lookupKey == alias.address.lookupKey }
    after.aliases.append(alias)
    let snapshot = DirectorySnapshot(after, settings: DirectorySettings(context.configuration.directory))
    switch snapshot.resolve(alias.address) {
    case .loop:
      throw AdminFailure(
        "\(alias.address.wire) would be a loop: it leads back to itself, or through more than \(context.configuration.directory.aliasDepth) aliases"
      )
    case .tooManyTargets:
      throw AdminFailure(
        "\(alias.address.wire) would expand to more than \(context.configuration.directory.aliasTargets) recipients")
    case .deliverable(let expansion): return expansion.undeliverable
    case .relayDomain, .unknownDomain, .unknownUser, .disabled: return alias.targets
    }
  }
}

/// `martlet alias remove`
public struct RemoveAlias: AdminCommand {
  public var address: String

  public init(address: String) { self.address = address }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    if address.hasPrefix("@") {
      return try await UpdateDomain(name: String(address.dropFirst()), quota: nil, catchAll: "").run(context)
    }
    let key = try context.address(address).lookupKey
    guard let alias = try await context.directory().aliases.first(where: { $0.address.lookupKey == key }) else {
      throw AdminFailure("no such alias: \(address)")
    }
    try await context.asking { () async throws(StoreError) in try await context.store.removeAlias(alias.address) }
    try await context.directoryChanged()
    try await context.say("removed \(alias.address.wire)")
  }
}

/// `martlet alias list`
public struct ListAliases: AdminCommand {
  public var domain: String?
  public var isJSON: Bool

  public init(domain: String?, isJSON: Bool) {
    self.domain = domain
    self.isJSON = isJSON
  }

  struct Row: Encodable {
    var address: String
    var targets: [String]
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let wanted = if let domain { try DomainWords.name(domain) } else { nil as String? }
    let contents = try await context.directory()
    let catchAlls = contents.domains.compactMap { domain in
      wanted == nil || domain.name == wanted ? domain.catchAll.map { Row(address: "@" + domain.name, targets: [$0.wire]) } : nil
    }
    let rows =
      (catchAlls
      + contents.aliases.filter { wanted == nil || $0.address.domain == wanted }
      .map { Row(address: $0.address.wire, targets: $0.targets.map(\.wire)) }).sorted { $0.address < $1.address }
    if isJSON { return try await context.sayJSON(rows) }
    var table = TextTable(("ALIAS", .left), ("TARGETS", .left))
    for row in rows { table.add(row.address, row.targets.joined(separator: ", ")) }
    try await context.say(table, orElse: "no aliases; \"martlet alias add ADDRESS TARGET,...\" adds one")
  }
}
