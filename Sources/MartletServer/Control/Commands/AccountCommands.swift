import Bytes
import Configuration
import InternetMessage
import MailModel
import MailStore

/// `martlet account add`
public struct AddAccount: AdminCommand {
  public var address: String
  public var quota: ByteCount
  /// Whether the context's input holds the password's hash: the command line hashes, so that no password crosses the socket.
  public var hasPassword: Bool

  public init(address: String, quota: ByteCount, hasPassword: Bool) {
    self.address = address
    self.quota = quota
    self.hasPassword = hasPassword
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let given = try context.address(address)
    let address = EmailAddress(localPart: given.localPart.lowercased(), domain: given.domain)
    let hash = hasPassword ? try PasswordInput.hash(context.input) : ""
    let contents = try await context.directory()
    switch contents.domains.first(where: { $0.name == address.domain })?.kind {
    case nil: throw AdminFailure("\(address.domain) is not a domain of this host; \"martlet domain add \(address.domain)\" adds it")
    case .relay: throw AdminFailure("\(address.domain) is relayed; only a domain that is delivered here has accounts")
    case .local: break
    }
    if contents.accounts.contains(where: { $0.address.lookupKey == address.lookupKey }) {
      throw AdminFailure("\(address.wire) is an account already")
    }
    let quota = quota.octets
    _ = try await context.asking { () async throws(StoreError) in
      try await context.store.addAccount(address: address, passwordHash: hash, quota: quota, created: context.clock.now())
    }
    try await context.directoryChanged()
    try await context.say("added \(address.wire)\(hasPassword ? "" : ", without a password: it gets mail, nobody can log in")")
  }
}

/// `martlet account password`
public struct SetPassword: AdminCommand {
  public var address: String

  public init(address: String) { self.address = address }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let hash = try PasswordInput.hash(context.input)
    try await AccountChange.change(address, context) { $0.passwordHash = hash }
    try await context.say("password of \(address) changed")
  }
}

/// `martlet account enable`, `martlet account disable`
public struct SetAccountEnabled: AdminCommand {
  public var address: String
  public var isEnabled: Bool

  public init(address: String, isEnabled: Bool) {
    self.address = address
    self.isEnabled = isEnabled
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let isEnabled = isEnabled
    try await AccountChange.change(address, context) { $0.isEnabled = isEnabled }
    try await context.say(
      isEnabled ? "\(address) takes mail" : "\(address) takes no mail and nobody can log in; what it holds stays")
  }
}

/// `martlet account quota`
public struct SetAccountQuota: AdminCommand {
  public var address: String
  public var quota: ByteCount

  public init(address: String, quota: ByteCount) {
    self.address = address
    self.quota = quota
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let quota = quota
    try await AccountChange.change(address, context) { $0.quota = quota.octets }
    try await context.say(quota.octets == 0 ? "\(address) may hold any amount" : "\(address) may hold \(quota)")
  }
}

/// `martlet account remove`
public struct RemoveAccount: AdminCommand {
  public var address: String
  public var withMail: Bool

  public init(address: String, withMail: Bool) {
    self.address = address
    self.withMail = withMail
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let account = try await context.account(address)
    let usage = try await context.asking { () async throws(StoreError) in try await context.store.usage(of: account.id) }
    if usage.messages > 0, !withMail {
      throw AdminFailure(
        "\(address) holds \(usage.messages) messages; --with-mail removes them with it, \"martlet export\" saves them")
    }
    try await context.asking { () async throws(StoreError) in try await context.store.removeAccount(account.id) }
    try await context.directoryChanged()
    try await context.say("removed \(account.address.wire)\(usage.messages > 0 ? " and its \(usage.messages) messages" : "")")
  }
}

/// `martlet account list`
public struct ListAccounts: AdminCommand {
  public var domain: String?
  public var isJSON: Bool

  public init(domain: String?, isJSON: Bool) {
    self.domain = domain
    self.isJSON = isJSON
  }

  struct Row: Encodable {
    var address: String
    var enabled: Bool
    var password: Bool
    var messages: Int
    var size: Int64
    var quota: Int64
    var created: String
  }

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let wanted = if let domain { try DomainWords.name(domain) } else { nil as String? }
    let accounts = try await context.directory().accounts.filter { wanted == nil || $0.address.domain == wanted }
      .sorted { ($0.address.domain, $0.address.localPart) < ($1.address.domain, $1.address.localPart) }
    let holdings = try await holdings(context)
    var rows: [Row] = []
    var table = TextTable(
      ("ACCOUNT", .left), ("STATE", .left), ("MESSAGES", .right), ("SIZE", .right), ("QUOTA", .right), ("SINCE", .left))
    for account in accounts {
      let held = holdings[account.id] ?? Holding(account: account.id, messages: 0, octets: 0)
      rows.append(
        Row(
          address: account.address.wire, enabled: account.isEnabled, password: !account.passwordHash.isEmpty,
          messages: held.messages,
          size: held.octets, quota: account.quota, created: account.created.iso8601))
      let state = account.isEnabled ? (account.passwordHash.isEmpty ? "no password" : "enabled") : "disabled"
      let quota = account.quota == 0 ? "none" : ByteCount(octets: account.quota).description
      table.add(
        account.address.wire, state, "\(held.messages)", ByteCount(octets: held.octets).description, quota,
        context.readable(account.created))
    }
    if isJSON { return try await context.sayJSON(rows) }
    try await context.say(table, orElse: "no accounts; \"martlet account add ADDRESS --password-stdin\" adds one")
  }

  private func holdings(_ context: AdminContext) async throws(AdminFailure) -> [AccountID: Holding] {
    var found: [AccountID: Holding] = [:]
    var last: AccountID?
    while true {
      let after = last
      let page = try await context.asking { () async throws(StoreError) in try await context.store.holdings(after: after) }
      guard let end = page.last else { return found }
      for one in page { found[one.account] = one }
      last = end.account
    }
  }
}

enum AccountChange {
  static func change(_ address: String, _ context: AdminContext, _ change: (inout Account) -> Void) async throws(AdminFailure) {
    var account = try await context.account(address)
    change(&account)
    let changed = account
    try await context.asking { () async throws(StoreError) in try await context.store.updateAccount(changed) }
    try await context.directoryChanged()
  }
}

enum PasswordInput {
  static func isHash(_ text: String) -> Bool {
    text.hasPrefix("$argon2id$") && text.utf8.count < 512 && text.utf8.allSatisfy(\.isASCIIVisible)
  }

  /// The hash that the command line made of the password.
  static func hash(_ input: [UInt8]) throws(AdminFailure) -> String {
    let text = String(decoding: input, as: UTF8.self)
    guard isHash(text) else {
      throw AdminFailure("the password came without its hash; are both ends of the same release?")
    }
    return text
  }
}
