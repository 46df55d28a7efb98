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
    let course = decisions.course(
      of: who, sender: path, recipients: addresses, message: input.message.map(Array.init),
      size: input.message == nil ? nil : UInt64(clamping: input.size))
    var result = Explanation(
      client: address.description, helo: who.heloName, sender: path?.wire ?? "", verdict: "accept", reply: nil, checks: [],
      recipients: course.recipients.map(Explanation.Recipient.init), routes: [])
    result.checks = checks(course, who, decisions.configuration, input)
    try await checkMailboxes(course, &result, size: Int64(input.size), context)
    result.routes = await routes(course, decisions)
    let refused = course.recipients.count { $0.refusal != nil }
    if let reply = course.senderRefusal ?? course.messageRefusal?.reply {
      (result.verdict, result.reply) = ("refuse", reply.description)
    } else if refused > 0 {
      result.verdict = refused == course.recipients.count ? "refuse" : "partly"
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
    if let refusal = course.senderRefusal { add("sender", false, refusal.description) }
    let limit = configuration.limits.messageSize
    if input.message != nil, limit.octets > 0 {
      add("size", input.size <= Int(clamping: limit.octets), "\(input.size) octets, at most \(limit.octets) (limits.message-size)")
    }
    if input.message != nil, input.size > DryRunInput.message {
      add("beginning", true, "only the first \(DryRunInput.message) octets of the message were looked at")
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
    for delivery in course.acceptance?.deliveries ?? [] {
      let usage = try await context.asking { () async throws(StoreError) in try await context.store.usage(of: delivery.account) }
      let needed = max(size, 1)
      let isFull = usage.quota > 0 && usage.octets.addedClamped(needed) > usage.quota
      let isDomainFull = usage.domainQuota > 0 && usage.domainOctets.addedClamped(needed) > usage.domainQuota
      guard isFull || isDomainFull || usage.quota > 0 else { continue }
      result.checks.append(
        .init(
          name: "quota", result: isFull || isDomainFull ? "fail" : "pass",
          evidence: "\(delivery.recipient): \(usage.octets) of \(usage.quota) octets used"
            + (isFull || isDomainFull ? ": 552 5.2.2 Mailbox is full" : "")))
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
      routes.append(Explanation.Route(group.destination, group.recipients, await decisions.router.route(group.destination)))
    }
    return routes
  }
}

extension Explanation.Recipient {
  init(_ recipient: Decisions.Course.Recipient) {
    self.init(
      address: recipient.address.wire, verdict: recipient.refusal == nil ? "accept" : "refuse", because: recipient.reason,
      reply: recipient.refusal?.description, mailboxes: recipient.judged?.local.map(\.address.wire) ?? [],
      relays: recipient.judged?.remote.map(\.wire) ?? [], undeliverable: recipient.judged?.undeliverable.map(\.wire) ?? [])
  }
}
