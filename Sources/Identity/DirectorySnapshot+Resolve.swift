import Bytes
import InternetMessage
import MailModel

extension DirectorySnapshot {
  /// Judges a recipient.
  ///
  /// The order for a local domain: an alias of the full name, an account of the full name, the same without the subaddress, then
  /// `postmaster`, then the domain's catch-all. An alias that names its own address means the account of that name.
  public func resolve(_ address: EmailAddress) -> Resolution {
    // RFC 5321, 4.5.1: `<postmaster>` without a domain is always taken.
    if !address.isBarePostmaster {
      guard let domain = address.asciiDomain, let entry = domains[domain] else { return .unknownDomain }
      if entry.kind == .relay { return .relayDomain }
    }
    switch meaning(of: address) {
    case .account(let account):
      guard account.isEnabled else { return .disabled }
      return .deliverable(Expansion(local: [.init(account: account.id, address: address)], explanation: "account"))
    case .targets(let targets, let key, let explanation):
      var walk = AliasWalk(directory: self, explanation: explanation)
      return walk.run(from: key, targets: targets)
    case .elsewhere: return .unknownDomain
    case .nobody: return .unknownUser
    }
  }

  /// The mailbox of an address, its aliases not followed: for what an alias led to before.
  public func resolveMailbox(_ address: EmailAddress) -> Resolution {
    guard kind(of: address.domain) == .local else { return .unknownDomain }
    guard let account = accounts[address.lookupKey] ?? withoutSubaddress(address).flatMap({ accounts[$0.lookupKey] }) else {
      return .unknownUser
    }
    guard account.isEnabled else { return .disabled }
    return .deliverable(Expansion(local: [.init(account: account.id, address: address)], explanation: "account"))
  }

  /// One step: what an address stands for, before aliases are followed.
  enum Meaning {
    case account(AccountEntry)
    /// `key` names the alias, for loops.
    case targets([EmailAddress], key: String, explanation: String)
    /// Not a local domain.
    case elsewhere
    case nobody
  }

  func meaning(of address: EmailAddress) -> Meaning {
    if address.isBarePostmaster { return postmasterMeaning(key: address.lookupKey) ?? .nobody }
    guard let domain = address.asciiDomain, let entry = domains[domain], entry.kind == .local else { return .elsewhere }
    let full = address.lookupKey
    if let targets = aliases[full] { return .targets(targets, key: full, explanation: "alias") }
    if let account = accounts[full] { return .account(account) }
    var base = full
    if let stripped = withoutSubaddress(address) {
      base = stripped.lookupKey
      if let targets = aliases[base] { return .targets(targets, key: base, explanation: "alias") }
      if let account = accounts[base] { return .account(account) }
    }
    // RFC 5321, 4.5.1: every domain that takes mail has a postmaster (RFC 2142, 5 repeats it).
    if base == "postmaster@\(domain)", let meaning = postmasterMeaning(key: base) { return meaning }
    // One that leads to a name nobody has here leads nowhere, not in circles.
    if let catchAll = entry.catchAll, catchAll.lookupKey != full {
      return .targets([catchAll], key: full, explanation: "catch-all")
    }
    return .nobody
  }

  private func postmasterMeaning(key: String) -> Meaning? {
    guard let postmaster, postmaster.lookupKey != key else { return nil }
    return .targets([postmaster], key: key, explanation: "postmaster")
  }

  /// The address without its tag (RFC 5233, 4); nil if it has none. `+tag` alone is a name, not a tag.
  func withoutSubaddress(_ address: EmailAddress) -> EmailAddress? {
    guard let separator = settings.subaddressSeparator else { return nil }
    let local = address.localPart.utf8
    guard let end = local.firstIndex(of: separator), end > local.startIndex else { return nil }
    return EmailAddress(localPart: String(address.localPart[..<end]), domain: address.domain)
  }
}

/// Follows aliases: depth first with a stack of its own, each alias once, no recursion.
struct AliasWalk {
  private struct Step {
    var key: String
    var targets: [EmailAddress]
    var next = 0
  }

  private let directory: DirectorySnapshot
  private var expansion: Expansion
  private var path: [Step] = []
  private var onPath: Set<String> = []
  private var followed: Set<String> = []
  private var seenAccounts: Set<AccountID> = []
  private var seenRemote: Set<EmailAddress> = []
  private var seenUndeliverable: Set<String> = []
  private var targetsLeft: Int
  private var hasDisabled = false

  init(directory: DirectorySnapshot, explanation: String) {
    self.directory = directory
    self.expansion = Expansion(explanation: explanation)
    self.targetsLeft = directory.settings.limits.aliasTargets.multipliedChecked(by: 10) ?? .max
  }

  mutating func run(from key: String, targets: [EmailAddress]) -> Resolution {
    let limits = directory.settings.limits
    enter(key, targets)
    while let index = path.indices.last {
      guard path[index].next < path[index].targets.count else {
        onPath.remove(path[index].key)
        path.removeLast()
        continue
      }
      let target = path[index].targets[path[index].next]
      path[index].next += 1
      targetsLeft -= 1
      guard targetsLeft >= 0 else { return .tooManyTargets }
      if let problem = follow(target, limits: limits) { return problem }
      let count = expansion.local.count + expansion.remote.count + expansion.undeliverable.count
      guard count <= limits.aliasTargets else { return .tooManyTargets }
    }
    if expansion.local.isEmpty, expansion.remote.isEmpty { return hasDisabled ? .disabled : .unknownUser }
    return .deliverable(expansion)
  }

  private mutating func enter(_ key: String, _ targets: [EmailAddress]) {
    followed.insert(key)
    onPath.insert(key)
    path.append(Step(key: key, targets: targets))
  }

  /// Takes one target; the resolution that ends the walk, if it does.
  private mutating func follow(_ target: EmailAddress, limits: DirectoryLimits) -> Resolution? {
    switch directory.meaning(of: target) {
    case .elsewhere: addRemote(target)
    case .nobody: addUndeliverable(target)
    case .account(let account): add(account, target)
    case .targets(let targets, let key, _):
      if onPath.contains(key) {
        // An alias that leads back to its own name means the account of that name, if there is one.
        guard let account = directory.accounts[key] else { return .loop }
        add(account, target)
      } else if !followed.contains(key) {
        guard path.count < limits.aliasDepth else { return .loop }
        enter(key, targets)
      }
    }
    return nil
  }

  private mutating func addRemote(_ target: EmailAddress) {
    // The local part is the other host's: only the domain compares without case and as A-labels.
    if seenRemote.insert(target.withASCIIDomain ?? target).inserted { expansion.remote.append(target) }
  }

  private mutating func addUndeliverable(_ target: EmailAddress) {
    if seenUndeliverable.insert(target.lookupKey).inserted { expansion.undeliverable.append(target) }
  }

  private mutating func add(_ account: DirectorySnapshot.AccountEntry, _ target: EmailAddress) {
    guard account.isEnabled else {
      hasDisabled = true
      addUndeliverable(target)
      return
    }
    if seenAccounts.insert(account.id).inserted { expansion.local.append(.init(account: account.id, address: target)) }
  }
}
