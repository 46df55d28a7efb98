import Bytes
import Configuration
import InternetMessage
import MailModel
import MailStore
import Outside
import Reception
import Routing

/// `martlet explain`: what would happen to a message, and why, without delivering one.
public struct Explain: AdminCommand {
  /// Empty or `<>` for the null path.
  public var sender: String
  public var recipients: [String]
  /// The client's address; nil: one of the internet that nobody knows.
  public var client: String?
  public var helo: String?
  public var isJSON: Bool

  public init(sender: String, recipients: [String], client: String?, helo: String?, isJSON: Bool) {
    self.sender = sender
    self.recipients = recipients
    self.client = client
    self.helo = helo
    self.isJSON = isJSON
  }

  /// For documentation (RFC 5737), so nobody's.
  private static let stranger = "192.0.2.1"

  public func run(_ context: AdminContext) async throws(AdminFailure) {
    let input = try DryRunInput(context.input)
    let configuration = try input.configuration(else: context.configuration)
    let resolver: UnboundResolver
    do { resolver = try UnboundResolver(Settings.resolver(configuration)) } catch { throw AdminFailure("\(error)", exitCode: 78) }
    defer { resolver.stop() }
    let decisions = try Decisions(
      configuration, directory: try await context.directory(), resolver: resolver, clock: context.clock)
    let explanation = try await explain(decisions, input, context)
    if isJSON { return try await context.sayJSON(explanation) }
    for line in explanation.lines { try await context.say(String.escaped(line.utf8, limit: 4_000)) }
  }

  private func explain(
    _ decisions: Decisions, _ input: DryRunInput, _ context: AdminContext
  ) async throws(AdminFailure) -> Explanation {
    guard let address = IPAddress(parsing: (client ?? Self.stranger).utf8) else {
      throw AdminFailure("--ip \(client ?? ""): expected an IP address", exitCode: 64)
    }
    var who = decisions.reception.client(remote: .ip(address, port: 0), local: decisions.local)
    who.heloName = helo ?? "[\(address)]"
    who.protocolKeyword = "ESMTP"
    let path = sender.isEmpty || sender == "<>" ? nil : try Self.parsed(sender)
    var addresses: [EmailAddress] = []
    for recipient in recipients { addresses.append(try Self.parsed(recipient)) }
    let content = input.message.map { Decisions.Content.bytes(Array($0), input.outcome) } ?? .none
    var course = decisions.course(
      of: who, sender: path, recipients: addresses, size: input.message == nil ? nil : input.size, content)
    let size = Int64(clamping: input.size)
    try await decisions.store(&course, size: size, in: context.store)
    let names = MailboxNames(try await context.directory())
    var result = Explanation(
      client: address.description, helo: who.heloName, sender: path?.wire ?? "", verdict: "accept",
      reply: course.refusal?.description, checks: [],
      recipients: course.recipients.map { Explanation.Recipient($0, course, names) }, routes: [],
      softBounce: decisions.configuration.queue.softBounces)
    result.checks = checks(course, who, decisions.configuration, input)
    try await checkMailboxes(course, &result, size: size, context)
    result.routes = await routes(course, decisions)
    let refused = course.recipients.count { $0.refusal != nil }
    if course.refusal != nil || (refused > 0 && refused == course.recipients.count) {
      result.verdict = "refuse"
    } else if refused > 0 {
      result.verdict = "partly"
    }
    return result
  }

  private static func parsed(_ text: String) throws(AdminFailure) -> EmailAddress {
    let bare = text.hasPrefix("<") && text.hasSuffix(">") ? String(text.dropFirst().dropLast()) : text
    if bare.asciiLowercased == "postmaster" { return EmailAddress(localPart: bare, domain: "") }
    do { return try AddressParser(allowsUTF8: true).mailbox(bare) } catch {
      throw AdminFailure("\(text) is not an address: \(error)", exitCode: 64)
    }
  }

  // MARK: Checks

  private func checks(
    _ course: Decisions.Course, _ client: Client, _ configuration: Configuration, _ input: DryRunInput
  ) -> [Explanation.Check] {
    var checks: [Explanation.Check] = []
    func add(_ name: String, _ passes: Bool, _ evidence: String) {
      checks.append(.init(name: name, result: passes ? "pass" : "fail", evidence: evidence))
    }
    let network = client.remote.address.flatMap { address in configuration.trust.networks.first { $0.contains(address) } }
    add(
      "trust", true,
      network.map { "\(client.addressText) is in \($0) of trust.networks: may send anywhere" }
        ?? "\(client.addressText) is in none of trust.networks: may send to domains of this host only")
    if client.isProxy { add("proxy", true, "must speak the PROXY protocol first (trust.proxy): the client is whom it names") }
    if let refusal = course.helloRefusal { add("helo", false, "\(refusal) (in reply to EHLO)") }
    if let refusal = course.senderRefusal { add("sender", false, refusal.description) }
    let limit = configuration.limits.messageSize
    if input.message != nil, limit.octets > 0 {
      add(
        "size", input.size <= UInt64(clamping: limit.octets), "\(input.size) octets, at most \(limit.octets) (limits.message-size)")
    }
    if input.size > DryRunInput.message {
      add("beginning", true, "all lines were looked at, header and structure in the first \(DryRunInput.message) octets only")
    }
    if let observed = course.observation {
      let hops = configuration.limits.hops
      add(
        "hops", hops == 0 || observed.census.hops <= hops,
        "\(observed.census.hops) Received fields, at most \(hops == 0 ? "any number" : "\(hops)") (limits.hops)")
    }
    if let refusal = course.messageRefusal { add("message", false, "\(refusal.reply) (\(refusal.reason))") }
    return checks
  }

  /// Whether it would fit: the store says that to the reply to DATA only.
  private func checkMailboxes(
    _ course: Decisions.Course, _ result: inout Explanation, size: Int64, _ context: AdminContext
  ) async throws(AdminFailure) {
    var seen: Set<AccountID> = []
    for target in course.recipients.compactMap(\.judged).flatMap(\.local) where seen.insert(target.account).inserted {
      let usage = try await context.asking { () async throws(StoreError) in try await context.store.usage(of: target.account) }
      let isFull = usage.isOver(adding: max(size, 1))
      guard isFull || usage.quota > 0 || usage.domainQuota > 0 else { continue }
      var words: [String] = []
      if usage.quota > 0 { words.append("\(usage.octets) of \(usage.quota) octets used") }
      if usage.domainQuota > 0 { words.append("\(usage.domainOctets) of its domain's \(usage.domainQuota)") }
      result.checks.append(
        .init(name: "quota", result: isFull ? "fail" : "pass", evidence: "\(target.address): \(words.joined(separator: ", "))"))
    }
  }

  // MARK: Routes

  private func routes(_ course: Decisions.Course, _ decisions: Decisions) async -> [Explanation.Route] {
    var groups: [(destination: String, recipients: [String])] = []
    for recipient in course.acceptance?.recipients ?? [] where recipient.destination != QueueEntry.localDestination {
      let group = decisions.router.group(of: recipient.destination)
      if let place = groups.firstIndex(where: { $0.destination == group }) {
        groups[place].recipients.append(recipient.address.wire)
      } else {
        groups.append((group, [recipient.address.wire]))
      }
    }
    var routes: [Explanation.Route] = []
    for group in groups {
      routes.append(
        Explanation.Route(
          group.destination, group.recipients, await decisions.router.route(group.destination),
          softBounces: decisions.configuration.queue.softBounces))
    }
    return routes
  }
}

/// The main addresses of accounts.
struct MailboxNames {
  private let addresses: [AccountID: String]

  init(_ directory: DirectoryContents) {
    addresses = Dictionary(directory.accounts.map { ($0.id, $0.address.wire) }, uniquingKeysWith: { first, _ in first })
  }

  func name(_ target: JudgedRecipient.Target) -> String { addresses[target.account] ?? target.address.wire }
}

extension Explanation.Recipient {
  init(_ recipient: Decisions.Course.Recipient, _ course: Decisions.Course, _ names: MailboxNames) {
    let targets = recipient.judged?.local ?? []
    // What is full waits in the queue, if the rest is taken.
    let delivered = course.acceptance.map { Set($0.deliveries.map(\.account)) }
    let waiting = delivered.map { delivered in targets.filter { !delivered.contains($0.account) } } ?? []
    self.init(
      address: recipient.address.wire, verdict: recipient.refusal == nil ? "accept" : "refuse", because: recipient.reason,
      reply: recipient.refusal?.description,
      mailboxes: targets.filter { target in !waiting.contains { $0.account == target.account } }.map(names.name),
      relays: recipient.judged?.remote.map(\.wire) ?? [], waiting: waiting.map(names.name),
      undeliverable: recipient.judged?.undeliverable.map(\.wire) ?? [])
  }
}
