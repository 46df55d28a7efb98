import Bytes
import Identity
import InternetMessage
import MailModel
import Outside
import SMTP
import Synchronization

/// Judges clients, senders, recipients and messages; the only part that decides what comes in.
///
/// Promises: a recipient is taken only if it lives here, its domain is relayed by order of the postmaster, or the client's network is
/// trusted (never an open relay, whatever the address syntax); what is refused is refused before the reply to DATA, so that no notice
/// has to be sent to somebody who never wrote (no backscatter); every decision carries its reason as data for log and trace.
///
/// Limits: `ReceptionPolicy`, and those of the directory. Failure: a decision can't fail; it is a pure function of policy, directory
/// and what the client said.
///
/// RFCs: 5321 (3.3, 3.4, 3.6, 4.4, 4.5.1, 6.3), 3461 (5.2), 3848.
public final class Reception: Sendable {
  private let policy: Mutex<ReceptionPolicy>
  private let directory: DirectoryHolder
  let clock: any Clock

  public init(policy: ReceptionPolicy, directory: DirectoryHolder, clock: any Clock) {
    self.policy = Mutex(policy)
    self.directory = directory
    self.clock = clock
  }

  /// Takes another policy for everything judged from now on.
  public func update(_ policy: ReceptionPolicy) { self.policy.withLock { $0 = policy } }

  // MARK: Clients

  public func client(remote: Endpoint, local: Endpoint) -> Client {
    policy.withLock { $0.client(remote: remote, local: local) }
  }

  /// The client that a permitted XCLIENT describes. What it does not say stays.
  public func client(_ client: Client, taking attributes: XCLIENTAttributes) -> Client {
    var result = client
    if let address = attributes.address {
      result = self.client(remote: .ip(address, port: attributes.port ?? 0), local: client.local)
      // The peer itself keeps the right to speak for others; whom it speaks for never has it.
      result.mayUseXCLIENT = client.mayUseXCLIENT
      result.isProxy = false
      result.tls = client.tls
      result.hostName = nil
    }
    if case .ip(let address, let port) = client.local {
      result.local = .ip(attributes.destinationAddress ?? address, port: attributes.destinationPort ?? port)
    } else if let address = attributes.destinationAddress {
      result.local = .ip(address, port: attributes.destinationPort ?? 0)
    }
    result.namedHelo = attributes.helo ?? (attributes.address == nil ? client.namedHelo : nil)
    result.namedExtended = attributes.isExtended ?? (attributes.address == nil ? client.namedExtended : nil)
    if let name = attributes.name { result.hostName = name }
    return result
  }

  // MARK: Senders and recipients

  public func judge(sender: SMTPSender, from client: Client) -> SMTPVerdict { .accept }

  /// Whether mail for `recipient` is taken from `client`, and where it goes (RFC 5321, 3.3).
  public func judge(recipient: SMTPRecipient, from client: Client) -> RecipientVerdict {
    judge(recipient: recipient, as: recipient.address, from: client)
  }

  private func judge(recipient: SMTPRecipient, as address: EmailAddress, from client: Client) -> RecipientVerdict {
    switch directory.snapshot.resolve(address) {
    case .deliverable(let expansion):
      return .accept(
        JudgedRecipient(
          recipient: recipient, local: expansion.local.map { .init(account: $0.account, address: $0.address) },
          remote: expansion.remote, undeliverable: expansion.undeliverable, explanation: expansion.explanation))
    case .relayDomain:
      return .accept(JudgedRecipient(recipient: recipient, remote: [address], explanation: "relay domain"))
    case .unknownDomain:
      if address != Self.postmaster, isOwnPostmaster(address, client) {
        return judge(recipient: recipient, as: Self.postmaster, from: client)
      }
      guard client.isTrusted else {
        return .refuse(Self.relayingDenied(address), reason: "relaying denied")
      }
      return .accept(JudgedRecipient(recipient: recipient, remote: [address], explanation: "trusted network"))
    case .unknownUser:
      return .refuse(
        SMTPReply(550, EnhancedStatusCode(.permanent, 1, 1), "<\(address.wire)>: no such user here"), reason: "unknown user")
    case .disabled:
      return .refuse(
        SMTPReply(550, EnhancedStatusCode(.permanent, 2, 1), "<\(address.wire)>: mailbox is disabled"), reason: "account disabled")
    case .loop:
      return .refuse(
        SMTPReply(550, EnhancedStatusCode(.permanent, 4, 6), "<\(address.wire)>: its aliases lead to one another"),
        reason: "alias loop")
    case .tooManyTargets:
      return .refuse(Self.tooManyTargets(address), reason: Self.tooManyTargetsReason)
    }
  }

  private static let postmaster = EmailAddress(localPart: "postmaster", domain: "")

  /// The postmaster of this host by its name or by the address that the client reached (RFC 5321, 4.5.1), though that domain is none of
  /// those that live here.
  private func isOwnPostmaster(_ address: EmailAddress, _ client: Client) -> Bool {
    guard address.localPart.asciiLowercased == "postmaster" else { return false }
    if let literal = address.literalAddress, case .ip(let own, _) = client.local { return literal == own }
    return address.asciiDomain == policy.withLock { $0.hostname.asciiLowercased }
  }

  private static func relayingDenied(_ address: EmailAddress) -> SMTPReply {
    SMTPReply(554, EnhancedStatusCode(.permanent, 7, 1), "<\(address.wire)>: relaying denied")
  }

  public static let tooManyTargetsReason = "too many alias targets"

  public static func tooManyTargets(_ address: EmailAddress) -> SMTPReply {
    SMTPReply(550, EnhancedStatusCode(.permanent, 4, 6), "<\(address.wire)>: expands to too many recipients")
  }

  // MARK: Messages

  /// Whether the message is taken; if so, everything that makes it durable.
  public func judge(
    message: SMTPMessage, recipients: [JudgedRecipient], observed: MessageObservation, client: Client, id: QueueID
  ) -> MessageVerdict {
    let policy = policy.withLock { $0 }
    if let problem = observed.problem {
      return .refuse(
        SMTPReply(552, EnhancedStatusCode(.permanent, 3, 4), "Message header is too large: \(Self.words(problem))"),
        reason: "header: \(Self.words(problem))")
    }
    if policy.hops > 0, observed.census.hops > policy.hops {
      return .refuse(
        SMTPReply(554, EnhancedStatusCode(.permanent, 4, 6), "Mail loop: more than \(policy.hops) hops"),
        reason: "\(observed.census.hops) hops")
    }
    let plan = AcceptancePlan(
      id: id, time: clock.now(), due: clock.schedule(), hostname: policy.hostname, client: client, message: message,
      recipients: recipients,
      census: observed.census, summary: observed.summary, hasNoHeader: observed.facts.hasNoHeader)
    return .accept(plan.acceptance())
  }

  private static func words(_ problem: HeaderProblem) -> String {
    switch problem {
    case .tooManyFields(let limit): "more than \(limit) fields"
    case .fieldTooLong(let limit): "a field of more than \(limit) octets"
    case .headerTooLong(let limit): "more than \(limit) octets"
    }
  }
}
