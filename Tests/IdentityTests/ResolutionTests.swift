import Identity
import InternetMessage
import MailModel
import Outside
import Testing

/// The matrix of what an address may mean.
struct ResolutionTests {
  static func address(_ text: String) -> EmailAddress {
    guard let at = text.lastIndex(of: "@") else { return EmailAddress(localPart: text, domain: "") }
    return EmailAddress(localPart: String(text[..<at]), domain: String(text[text.index(after: at)...]))
  }

  static func snapshot(
    aliases: [String: [String]] = [:], catchAll: String? = nil, settings: DirectorySettings = .init(), disabled: Set<String> = []
  ) -> DirectorySnapshot {
    let accounts = ["alice@example.test", "bob@example.test", "carol@xn--bcher-kva.test"].enumerated().map { index, name in
      Account(
        id: AccountID(rawValue: Int64(index + 1)), address: address(name), passwordHash: "", quota: 0,
        isEnabled: !disabled.contains(name),
        created: Timestamp(seconds: 0))
    }
    let domains = [
      Domain(name: "example.test", kind: .local, catchAll: catchAll.map(address)), Domain(name: "xn--bcher-kva.test", kind: .local),
      Domain(name: "backup.test", kind: .relay),
    ]
    let list = aliases.map { Alias(address: address($0.key), targets: $0.value.map(address)) }
    return DirectorySnapshot(DirectoryContents(domains: domains, accounts: accounts, aliases: list), settings: settings)
  }

  /// `1,2>remote@x` : accounts, then addresses elsewhere; or the refusal's name.
  static func told(_ resolution: Resolution) -> String {
    guard case .deliverable(let expansion) = resolution else { return "\(resolution)" }
    let local = expansion.local.map { String($0.account.rawValue) }.joined(separator: ",")
    return expansion.remote.isEmpty ? local : local + ">" + expansion.remote.map(\.wire).joined(separator: ",")
  }

  @Test(
    "without aliases",
    arguments: [
      ("alice@example.test", "1"), ("ALICE@EXAMPLE.test", "1"), ("alice+tag@example.test", "1"), ("Alice+@example.test", "1"),
      ("carol@b\u{FC}cher.test", "3"), ("nobody@example.test", "unknownUser"), ("+alice@example.test", "unknownUser"),
      ("alice-tag@example.test", "unknownUser"), ("alice@other.test", "unknownDomain"), ("alice@[127.0.0.1]", "unknownDomain"),
      ("anyone@backup.test", "relayDomain"), ("postmaster@backup.test", "relayDomain"), ("postmaster", "1"),
      ("postmaster@example.test", "1"),
      ("PostMaster@xn--bcher-kva.test", "1"), ("postmaster+x@example.test", "1"), ("postmaster@other.test", "unknownDomain"),
      ("abuse@example.test", "unknownUser"), ("alice%example.test@other.test", "unknownDomain"),
      ("alice@other.test@example.test", "unknownUser"),
      ("@example.test", "unknownUser"),
    ])
  func plain(text: String, expected: String) { #expect(Self.told(Self.snapshot().resolve(Self.address(text))) == expected) }

  static let aliases = [
    "sales@example.test": ["alice@example.test", "bob@example.test"],
    "all@example.test": ["sales@example.test", "carol@xn--bcher-kva.test", "x@out.test"],
    "out@example.test": ["A@Out.test", "a@out.test", "A@OUT.test"],
    "twice@example.test": ["sales@example.test", "alice@example.test"],
    "alice@example.test": ["alice@example.test", "copy@out.test"], "a@example.test": ["b@example.test"],
    "b@example.test": ["a@example.test"],
    "self@example.test": ["self@example.test"], "half@example.test": ["ghost@example.test", "bob@example.test"],
    "ghosts@example.test": ["ghost@example.test"], "backup@example.test": ["u@backup.test"],
    "list+x@example.test": ["bob@example.test"],
    "mixed@example.test": ["bob@example.test", "a@example.test"], "tagged@example.test": ["bob+inbox@example.test"],
    "postmaster@xn--bcher-kva.test": ["carol@xn--bcher-kva.test"],
  ]

  @Test(
    "with aliases",
    arguments: [
      ("sales@example.test", "1,2>copy@out.test"), ("SALES+q3@example.test", "1,2>copy@out.test"),
      ("all@example.test", "1,2,3>copy@out.test,x@out.test"),
      ("out@example.test", ">A@out.test,a@out.test"), ("twice@example.test", "1,2>copy@out.test"),
      ("alice@example.test", "1>copy@out.test"),
      ("alice+t@example.test", "1>copy@out.test"), ("a@example.test", "loop"), ("self@example.test", "loop"),
      ("half@example.test", "2"),
      ("ghosts@example.test", "unknownUser"), ("backup@example.test", ">u@backup.test"), ("list+x@example.test", "2"),
      ("list@example.test", "unknownUser"), ("mixed@example.test", "loop"), ("tagged@example.test", "2"),
      ("postmaster@xn--bcher-kva.test", "3"), ("postmaster@example.test", "1>copy@out.test"),
    ])
  func withAliases(text: String, expected: String) {
    #expect(Self.told(Self.snapshot(aliases: Self.aliases).resolve(Self.address(text))) == expected)
  }

  @Test("the subaddress stays in the recipient")
  func subaddressStays() {
    let resolution = Self.snapshot(aliases: Self.aliases).resolve(Self.address("tagged@example.test"))
    guard case .deliverable(let expansion) = resolution else { return #expect(Bool(false)) }
    #expect(expansion.local.map(\.address.wire) == ["bob+inbox@example.test"])
    #expect(expansion.explanation == "alias")
  }

  @Test("a target that can't take mail is told, and the others get theirs")
  func undeliverableTargets() {
    let resolution = Self.snapshot(aliases: Self.aliases).resolve(Self.address("half@example.test"))
    guard case .deliverable(let expansion) = resolution else { return #expect(Bool(false)) }
    #expect(expansion.undeliverable.map(\.wire) == ["ghost@example.test"])
  }

  @Test(
    "the mailbox of an address is the account's, whatever aliases say",
    arguments: [
      ("alice@example.test", "1"), ("Alice+t@example.test", "1"), ("sales@example.test", "unknownUser"),
      ("ghost@example.test", "unknownUser"), ("a@other.test", "unknownDomain"), ("postmaster", "unknownDomain"),
      ("u@backup.test", "unknownDomain"),
    ])
  func mailbox(text: String, expected: String) {
    #expect(Self.told(Self.snapshot(aliases: Self.aliases).resolveMailbox(Self.address(text))) == expected)
  }

  @Test("another separator, or none")
  func separators() {
    let minus = DirectorySettings(subaddressSeparator: 0x2D)
    #expect(Self.told(Self.snapshot(settings: minus).resolve(Self.address("alice-tag@example.test"))) == "1")
    #expect(Self.snapshot(settings: minus).resolve(Self.address("alice+tag@example.test")) == .unknownUser)
    #expect(
      Self.snapshot(settings: .init(subaddressSeparator: nil)).resolve(Self.address("alice+tag@example.test")) == .unknownUser)
  }

  @Test("a catch-all takes unknown names only, and one that leads to nobody makes nobody known")
  func catchAll() {
    let snapshot = Self.snapshot(aliases: ["x@example.test": ["ghost@example.test"]], catchAll: "bob@example.test")
    #expect(Self.told(snapshot.resolve(Self.address("whoever@example.test"))) == "2")
    #expect(Self.told(snapshot.resolve(Self.address("alice@example.test"))) == "1")
    #expect(Self.told(snapshot.resolve(Self.address("x@example.test"))) == "2")
    #expect(Self.told(snapshot.resolve(Self.address("postmaster@example.test"))) == "1")
    #expect(Self.told(Self.snapshot(catchAll: "y@out.test").resolve(Self.address("whoever@example.test"))) == ">y@out.test")
    let nowhere = Self.snapshot(catchAll: "nobody@example.test")
    for name in ["whoever@example.test", "nobody@example.test"] { #expect(nowhere.resolve(Self.address(name)) == .unknownUser) }
  }

  @Test("a disabled account is told apart, and is no postmaster")
  func disabled() {
    let snapshot = Self.snapshot(aliases: ["x@example.test": ["alice@example.test"]], disabled: ["alice@example.test"])
    #expect(snapshot.resolve(Self.address("alice+t@example.test")) == .disabled)
    #expect(snapshot.resolve(Self.address("x@example.test")) == .disabled)
    #expect(Self.told(snapshot.resolve(Self.address("postmaster"))) == "2")
    let chosen = DirectorySettings(postmaster: Self.address("alice@example.test"))
    #expect(Self.told(Self.snapshot(settings: chosen, disabled: ["alice@example.test"]).resolve(Self.address("postmaster"))) == "2")
    #expect(
      Self.told(Self.snapshot(settings: .init(postmaster: Self.address("pm@out.test"))).resolve(Self.address("postmaster")))
        == ">pm@out.test")
  }

  @Test("a chain as deep as the limit resolves, one deeper does not")
  func depth() {
    var aliases: [String: [String]] = [:]
    for level in 0..<11 { aliases["l\(level)@example.test"] = [level == 10 ? "bob@example.test" : "l\(level + 1)@example.test"] }
    let snapshot = Self.snapshot(aliases: aliases)
    #expect(Self.told(snapshot.resolve(Self.address("l1@example.test"))) == "2")
    #expect(snapshot.resolve(Self.address("l0@example.test")) == .loop)
  }

  @Test("a list as long as the limit resolves, one longer does not; overlapping lists end in bounded time")
  func count() {
    let thousand = (0..<1_000).map { "u\($0)@out.test" }
    var aliases = [
      "big@example.test": thousand, "bigger@example.test": thousand + ["one@out.test"],
      "over@example.test": ["big@example.test", "big2@example.test"],
    ]
    aliases["big2@example.test"] = thousand
    // Who can't take mail now waits in the queue, so counts.
    aliases["dead@example.test"] = (0..<1_000).map { "gone\($0)@example.test" } + ["bob@example.test"]
    aliases["twice@example.test"] = (0..<1_000).map { "gone\($0 % 10)@example.test" } + ["bob@example.test"]
    for level in 0..<9 {
      aliases["n\(level)@example.test"] = (0..<1_000).map { _ in "n\(level + 1)@example.test" }
    }
    let snapshot = Self.snapshot(aliases: aliases)
    guard case .deliverable(let expansion) = snapshot.resolve(Self.address("over@example.test")) else {
      return #expect(Bool(false))
    }
    #expect(expansion.remote.count == 1_000)
    #expect(snapshot.resolve(Self.address("bigger@example.test")) == .tooManyTargets)
    #expect(snapshot.resolve(Self.address("n0@example.test")) == .unknownUser)
    #expect(snapshot.resolve(Self.address("dead@example.test")) == .tooManyTargets)
    guard case .deliverable(let twice) = snapshot.resolve(Self.address("twice@example.test")) else { return #expect(Bool(false)) }
    #expect(twice.undeliverable.count == 10)
  }

  @Test("an empty host knows nobody")
  func empty() {
    let snapshot = DirectorySnapshot(DirectoryContents(domains: [], accounts: [], aliases: []))
    #expect(snapshot.resolve(Self.address("postmaster")) == .unknownUser)
    #expect(snapshot.resolve(Self.address("a@b.test")) == .unknownDomain)
  }
}
