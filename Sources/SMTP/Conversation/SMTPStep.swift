import InternetMessage
import MailModel
import NIOCore
import SASL

/// What the session does next. Replies in it are written in order; nothing else is.
///
/// The large cases are boxes: a step is passed on more often than it is one of them, and what waits for a step pays for the largest.
public enum SMTPStep: Sendable {
  /// Nothing to write; go on with what was being waited for (mostly the next input for `handle`).
  case proceed
  /// Write the reply; feed the next input to `handle`.
  case reply(SMTPReply)
  /// Write the reply; the next line is a response to it, not a command (`SMTPCommandParser.expectsResponse`); feed it to `handle`.
  case challenge(SMTPReply)
  /// LMTP after a body: write a reply a recipient, in order; feed the next input to `handle`.
  case replies([SMTPReply])
  /// Find the answer and give it to `answer` (for `.message`: `stored` or `answer` with a refusal).
  indirect case ask(SMTPQuestion)
  /// Write the reply if there is one, run the input through the decoder until it ends, give what it says to `received`. What it yields is the
  /// message; a discarding one yields nothing.
  indirect case receive(SMTPReply?, DataDecoder)
  /// Write the reply; then, if no byte stands in the input, change to TLS and call `tlsEstablished` or `tlsFailed`. The command parser
  /// begins anew.
  case upgradeTLS(SMTPReply)
  /// Write the replies (none, one, or one a recipient), flush, close.
  case close([SMTPReply])
}

/// What the conversation can't know.
public enum SMTPQuestion: Hashable, Sendable {
  /// Whether the peer may talk. Asked once, and again after XCLIENT.
  case greeting
  /// Whether the sender may send. SIZE has been held against the limit.
  case sender(SMTPSender)
  /// Whether mail for the recipient is taken. Never asked twice for one address of a transaction.
  case recipient(SMTPRecipient)
  /// The message is there: judge and store it. `stored` or a refusal answers.
  case message(SMTPMessage)
  /// The peer is to be taken for another; answered like `greeting`.
  case xclient(XCLIENTAttributes)
  /// Who the client is; `answer(_: SASLAnswer)` answers.
  case authentication(SASLQuestion)
}

/// A message received whole.
public struct SMTPMessage: Hashable, Sendable {
  public var sender: SMTPSender
  /// Each address once, in order of their first RCPT.
  public var recipients: [SMTPRecipient]
  /// Octets, longest line.
  public var outcome: DataOutcome

  public init(sender: SMTPSender, recipients: [SMTPRecipient], outcome: DataOutcome) {
    self.sender = sender
    self.recipients = recipients
    self.outcome = outcome
  }
}

/// The answer to a question.
public enum SMTPVerdict: Hashable, Sendable {
  /// Yes. To `.message` this is no answer (`451 4.3.0` goes out): only `stored` accepts.
  case accept
  /// No. A reply that is not 4xx or 5xx becomes `451 4.3.0`.
  case refuse(SMTPReply)
  /// Not in this transaction, which has recipients enough: `452 4.5.3`, so that the client sends it the message again
  /// (RFC 5321, 4.5.3.1.10).
  case tooMany
  /// No, and the connection ends.
  case refuseAndClose(SMTPReply)
}
