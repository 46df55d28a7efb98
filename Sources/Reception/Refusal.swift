import InternetMessage
import MailModel
import SMTP

/// What was refused, for the trace: somebody will ask why it never came.
public struct Refusal: Sendable {
  /// The command that the refusal answered.
  public enum Stage: String, Hashable, Sendable {
    case mail = "MAIL"
    case recipient = "RCPT"
    case message = "DATA"
  }

  /// What it hangs on: whether another configuration could have decided otherwise.
  public enum Cause: String, Hashable, Sendable {
    /// Configuration, accounts and aliases.
    case rules
    /// What the client said or did: a command or a body that can't be read, a message that broke off.
    case client
    /// A mailbox that was full just then.
    case mailbox
    /// The store: a full disk, a failed write.
    case store
    /// How much came at once.
    case load
  }

  public var stage: Stage
  /// The reverse path; nil is the null path.
  public var sender: EmailAddress?
  /// Of a refused recipient that one alone; else all that had been taken.
  public var recipients: [EmailAddress]
  /// As it went out; nil if nothing could be said any more.
  public var reply: SMTPReply?
  /// What it would have been without soft bounces, if that is another: `550 5.1.1`.
  public var hardReply: SMTPReply?
  public var cause: Cause
  /// For log and trace: `unknown user`, `relaying denied`.
  public var reason: String
  /// Octets, as announced or as they came; nil if unknown.
  public var size: UInt64?
  /// `Received` fields, where they were counted.
  public var hops: Int?
  public var messageID: String?
  /// The line that was refused, for one that can't be read; escaped.
  public var said: String?
  /// The message broke off before its end: nobody refused it, and its sender still has it.
  public var isCutOff = false

  public init(
    _ stage: Stage, sender: EmailAddress?, recipients: [EmailAddress], reply: SMTPReply?, cause: Cause, reason: String,
    size: UInt64? = nil
  ) {
    self.stage = stage
    self.sender = sender
    self.recipients = recipients
    self.reply = reply
    self.cause = cause
    self.reason = reason
    self.size = size
  }
}

extension Reception {
  /// Recipients of one message that its first event names: 100.
  public static let namedRecipients = 100

  /// What the trace says of a refusal.
  public func event(of refusal: Refusal, client: Client) -> TraceEvent {
    var event = TraceEvent(
      time: clock.now(), kind: .refused,
      recipient: refusal.stage == .recipient ? refusal.recipients.first?.description : nil, detail: client.facts)
    event.detail.append(.init("from", refusal.sender.map(\.description) ?? "<>"))
    if refusal.stage == .message { event.detail += Self.named(refusal.recipients) }
    if let size = refusal.size { event.detail.append(.init("size", String(size))) }
    if let messageID = refusal.messageID { event.detail.append(.init("message-id", messageID)) }
    if let hops = refusal.hops { event.detail.append(.init("hops", String(hops))) }
    if client.isTrusted { event.detail.append(.init("trusted", "network")) }
    if let said = refusal.said { event.detail.append(.init("said", said)) }
    event.detail += [
      .init("verdict", refusal.isCutOff ? "cut off" : "refuse"), .init("stage", refusal.stage.rawValue),
      .init("cause", refusal.cause.rawValue),
    ]
    if let reply = refusal.reply { event.detail.append(.init("reply", reply.description)) }
    if let hard = refusal.hardReply {
      event.detail.append(.init("softened", "\(hard.code)" + (hard.enhanced.map { " \($0)" } ?? "")))
    }
    event.detail.append(.init("reason", refusal.reason))
    return event
  }

  /// The recipients as they were given, and how many there are if not all are named.
  static func named(_ recipients: [EmailAddress]) -> [TraceEvent.Detail] {
    guard recipients.count > 1 else { return recipients.first.map { [.init("to", $0.description)] } ?? [] }
    let names = TraceEvent.Detail("to", recipients.prefix(namedRecipients).map(\.description).joined(separator: " "))
    return recipients.count > namedRecipients ? [names, .init("recipients", String(recipients.count))] : [names]
  }
}

extension Client {
  /// Who it is, for the trace.
  var facts: [TraceEvent.Detail] {
    var facts: [TraceEvent.Detail] = [.init("client", addressText)]
    if let hostName { facts.append(.init("name", hostName)) }
    facts += [.init("helo", heloName), .init("with", protocolKeyword), .init("at", local.description)]
    if let tls { facts.append(.init("tls", "\(tls.version) \(tls.cipher)")) }
    return facts
  }
}
