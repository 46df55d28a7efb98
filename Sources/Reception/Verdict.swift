import InternetMessage
import MailModel
import SMTP

/// What reception says of a recipient.
public enum RecipientVerdict: Sendable {
  case accept(JudgedRecipient)
  /// `reason` is for log and trace: `unknown user`, `relaying denied`.
  case refuse(SMTPReply, reason: String)
}

/// A recipient that was taken, and where its copies go.
public struct JudgedRecipient: Hashable, Sendable {
  public var recipient: SMTPRecipient
  /// Accounts of this host, each with the address that led to it.
  public var local: [Target]
  /// Addresses that leave over the queue.
  public var remote: [EmailAddress]
  /// Addresses here that it stands for but that can't take mail now (unknown, disabled). Empty for a recipient that stands for itself.
  public var undeliverable: [EmailAddress]
  /// How the address was understood, for the trace: `local account`, `alias of ...`, `relay domain`, `trusted network`.
  public var explanation: String

  public struct Target: Hashable, Sendable {
    public var account: AccountID
    public var address: EmailAddress
    public init(account: AccountID, address: EmailAddress) {
      self.account = account
      self.address = address
    }
  }

  public init(
    recipient: SMTPRecipient, local: [Target] = [], remote: [EmailAddress] = [], undeliverable: [EmailAddress] = [],
    explanation: String
  ) {
    self.recipient = recipient
    self.local = local
    self.remote = remote
    self.undeliverable = undeliverable
    self.explanation = explanation
  }

  /// It leads elsewhere than to a mailbox of its own name.
  var isExpanded: Bool { local.count != 1 || !undeliverable.isEmpty || local.first?.address != recipient.address }
}

/// What reception says of a whole message.
public enum MessageVerdict: Sendable {
  case accept(Acceptance)
  case refuse(SMTPReply, reason: String)
}
