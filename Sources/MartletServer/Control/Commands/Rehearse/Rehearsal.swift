import Bytes
import Configuration
import InternetMessage
import MailModel
import MailStore
import Outside
import Reception
import Routing
import SMTP

/// Judges a recorded message again under one configuration and the accounts and aliases of now.
struct Rehearsal: Sendable {
  let configuration: Configuration
  private let directory: DirectoryContents
  private let decisions: Decisions
  private let clock: any Clock

  init(_ configuration: Configuration, directory: DirectoryContents, clock: any Clock) throws(AdminFailure) {
    self.configuration = configuration
    self.directory = directory
    self.clock = clock
    decisions = try Decisions(
      configuration, directory: directory, resolver: RecordedResolver(records: "", dnssec: nil), clock: clock)
  }

  // MARK: Verdicts

  /// What each recipient, or the message, would hear: `taken`, or the refusal with its reason.
  struct Verdict: Hashable {
    /// The address, or empty for the whole message.
    var subject: String
    /// Empty: taken.
    var refusal: String
    /// Why.
    var reason: String

    var words: String { refusal.isEmpty ? "taken (\(reason))" : "refused: \(refusal) (\(reason))" }
  }

  /// Refusals and what they were given for that hang on the moment: whether the sender was too quick, a mailbox full, the store at work.
  private static let momentary = ["over quota", "too many messages a minute", "a mailbox is full, others are not"]

  /// The verdicts that differ from what was recorded, and what they were.
  func differences(from mail: RecordedMail) throws(RecordedMail.Gap) -> [(was: String, now: Verdict)] {
    guard let recorded = mail.client else { return [] }
    guard mail.isWhole || isRefusedAtMail(mail) else {
      throw RecordedMail.Gap(reason: "the trace does not name all recipients")
    }
    var client = decisions.reception.client(remote: recorded.remote, local: recorded.local)
    client.heloName = recorded.helo
    switch mail.verdict {
    case .accepted:
      return verdicts(on: mail, client).filter { !$0.refusal.isEmpty }.map { ("taken", $0) }
    case .refused(let stage, let reply, let reason):
      guard !Self.momentary.contains(reason), !isOfStore(reply) else {
        throw RecordedMail.Gap(reason: "refused for the moment (\(reason)), which can't be had again")
      }
      if stage == "DATA", reason.hasPrefix("header: ") {
        throw RecordedMail.Gap(reason: "refused for its header, which is not kept")
      }
      // Lines that don't end as they must are refused by every configuration.
      if stage == "DATA", reason == "the body is unfit", !reply.hasPrefix("552") { return [] }
      let now = verdicts(on: mail, client)
      let was = "refused: \(reply) (\(reason))"
      if stage == "RCPT" {
        guard let only = now.first(where: { !$0.subject.isEmpty }) else { return [] }
        return only.refusal.isEmpty || only.refusal.prefix(3) != reply.prefix(3) ? [(was, only)] : []
      }
      // Somebody must still refuse the whole of it.
      if now.contains(where: { $0.subject.isEmpty && !$0.refusal.isEmpty }) { return [] }
      return [(was, Verdict(subject: "", refusal: "", reason: "nothing is against it any more"))]
    }
  }

  private func isRefusedAtMail(_ mail: RecordedMail) -> Bool {
    if case .refused("MAIL", _, _) = mail.verdict { true } else { false }
  }

  /// `452` and `451` tell of the store and of load, not of the configuration.
  private func isOfStore(_ reply: String) -> Bool { reply.hasPrefix("45") || reply.hasPrefix("421") }

  private func verdicts(on mail: RecordedMail, _ client: Client) -> [Verdict] {
    let limits = configuration.limits
    if let size = mail.size, limits.messageSize.octets > 0, size > UInt64(clamping: limits.messageSize.octets) {
      return [
        Verdict(
          subject: "", refusal: "552 5.3.4 Message too large",
          reason: "\(size) octets, limits.message-size \(limits.messageSize.octets)")
      ]
    }
    if let hops = mail.hops, limits.hops > 0, hops > limits.hops {
      return [
        Verdict(
          subject: "", refusal: "554 5.4.6 Mail loop: more than \(limits.hops) hops",
          reason: "\(hops) hops, limits.hops \(limits.hops)")
      ]
    }
    var result: [Verdict] = []
    for (place, address) in mail.recipients.enumerated() {
      if limits.recipients > 0, place >= limits.recipients {
        result.append(
          Verdict(subject: address.wire, refusal: "452 4.5.3 Too many recipients", reason: "limits.recipients \(limits.recipients)")
        )
        continue
      }
      switch decisions.reception.judge(recipient: SMTPRecipient(address: address), from: client) {
      case .accept(let judged): result.append(Verdict(subject: address.wire, refusal: "", reason: judged.explanation))
      case .refuse(let reply, let reason):
        result.append(Verdict(subject: address.wire, refusal: reply.description, reason: reason))
      }
    }
    return result
  }

  // MARK: Where it goes

  /// The addresses that an accepted message would go to: mailboxes here, and elsewhere. Nil if a recipient would be refused.
  func targets(of mail: RecordedMail) -> (local: Set<String>, remote: Set<String>)? {
    guard let recorded = mail.client else { return nil }
    let client = decisions.reception.client(remote: recorded.remote, local: recorded.local)
    var local: [AccountID: String] = [:]
    var remote: Set<String> = []
    for address in mail.recipients {
      guard case .accept(let judged) = decisions.reception.judge(recipient: SMTPRecipient(address: address), from: client) else {
        return nil
      }
      for target in judged.local where local[target.account] == nil { local[target.account] = target.address.wire.asciiLowercased }
      for address in judged.remote { remote.insert(address.wire.asciiLowercased) }
    }
    return (Set(local.values), remote)
  }

  // MARK: Routes

  /// Where a recipient's copy would be sent, in words that are equal where the way is; nil if the trace lacks the DNS answers for it.
  func way(_ way: RecordedMail.Way) async -> String? {
    guard let destination = way.address.asciiDomain else { return nil }
    let group = decisions.router.group(of: destination)
    if group != destination { return "route \(NextHopText.redacted(group))" }
    guard let dns = way.dns else { return way.address.isAddressLiteral ? await decide(destination, "", nil) : nil }
    return await decide(destination, dns, way.dnssec)
  }

  private func decide(_ destination: String, _ dns: String, _ dnssec: String?) async -> String {
    decisions.router.use(RecordedResolver(records: dns, dnssec: dnssec))
    switch await decisions.router.route(destination) {
    case .route(let route):
      let hosts = route.hosts.map { host in
        "\(host.preference) \(host.name) \(host.endpoints.map(\.description).sorted().joined(separator: " "))"
      }
      return "\(route.evidence.source): \(hosts.sorted().joined(separator: ", "))"
    case .transient(let reason, _): return "waits: \(reason)"
    case .permanent(let reason, _): return "is returned: \(reason)"
    }
  }

  /// Whether this configuration has a route of its own for the recipient's domain.
  func hasRoute(_ way: RecordedMail.Way) -> Bool {
    guard let destination = way.address.asciiDomain else { return false }
    return decisions.router.group(of: destination) != destination
  }
}
