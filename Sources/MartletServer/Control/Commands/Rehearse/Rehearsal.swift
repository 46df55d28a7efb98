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

  /// The verdicts that differ from what was recorded, and what they were.
  func differences(from mail: RecordedMail) throws(RecordedMail.Gap) -> [(was: String, now: Verdict)] {
    guard mail.client != nil else { return [] }
    guard mail.isWhole || isRefusedAtMail(mail) else {
      throw RecordedMail.Gap(reason: "the trace does not name all recipients")
    }
    switch mail.verdict {
    case .accepted: return verdicts(on: mail).filter { !$0.refusal.isEmpty }.map { ("taken", $0) }
    case .refused(let refusal):
      switch refusal.cause {
      // What can't be read, or never came whole, is refused by every configuration.
      case .client: return []
      case .mailbox, .store, .load:
        throw RecordedMail.Gap(reason: "refused for the moment (\(refusal.reason)), which can't be had again")
      case .rules: break
      }
      if refusal.stage == "DATA", refusal.reason.hasPrefix("header: ") {
        throw RecordedMail.Gap(reason: "refused for its header, which is not kept")
      }
      let now = verdicts(on: mail)
      let was = "refused: \(refusal.reply) (\(refusal.reason))"
      if refusal.stage == "RCPT" {
        guard let only = now.first(where: { !$0.subject.isEmpty }) else { return [] }
        return only.refusal.isEmpty || only.refusal.prefix(3) != refusal.reply.prefix(3) ? [(was, only)] : []
      }
      // Somebody must still refuse the whole of it.
      if let still = now.first(where: { $0.subject.isEmpty && !$0.refusal.isEmpty }) {
        return still.refusal.prefix(3) == refusal.reply.prefix(3) ? [] : [(was, still)]
      }
      return [(was, Verdict(subject: "", refusal: "", reason: "nothing is against it any more"))]
    }
  }

  private func isRefusedAtMail(_ mail: RecordedMail) -> Bool {
    if case .refused(let refusal) = mail.verdict { refusal.stage == "MAIL" } else { false }
  }

  private func client(_ recorded: RecordedMail.Peer) -> Client {
    var client = decisions.reception.client(remote: recorded.remote, local: recorded.local)
    client.heloName = recorded.helo
    return client
  }

  private func verdicts(on mail: RecordedMail) -> [Verdict] {
    guard let recorded = mail.client else { return [] }
    let course = decisions.course(
      of: client(recorded), isRecorded: true, sender: mail.sender, recipients: mail.recipients, size: mail.size,
      .recorded(hops: mail.hops ?? 0))
    if let refusal = course.senderRefusal {
      let evidence = mail.size.map { "\($0) octets, limits.message-size \(configuration.limits.messageSize.octets)" } ?? "MAIL"
      return [Verdict(subject: "", refusal: refusal.description, reason: evidence)]
    }
    var result = course.recipients.map { recipient in
      Verdict(subject: recipient.address.wire, refusal: recipient.refusal?.description ?? "", reason: recipient.reason)
    }
    if let refusal = course.messageRefusal {
      result.append(Verdict(subject: "", refusal: refusal.reply.description, reason: refusal.reason))
    }
    return result
  }

  // MARK: Where it goes

  /// The addresses that an accepted message would go to: mailboxes here, and elsewhere. Nil if a recipient would be refused.
  func targets(of mail: RecordedMail) -> (local: Set<String>, remote: Set<String>)? {
    guard let recorded = mail.client else { return nil }
    let client = client(recorded)
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
