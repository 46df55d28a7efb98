import MailModel

/// A transaction that was started and is not over.
struct ActiveTransaction: Sendable {
  enum Phase: Hashable, Sendable {
    /// MAIL, RCPT or DATA is unanswered.
    case envelope
    /// The body is to be sent.
    case sendingBody
    /// The end was sent.
    case waitingForEnd
  }

  var transaction: SMTPClientTransaction
  var terms: SMTPClientPlan.Terms
  var phase = Phase.envelope
  /// How many of the recipients are named to the host in this transaction; the rest is `.notTried`.
  var named: Int
  var results: [SMTPRecipientResult?]
  /// RCPT was answered with 2xx.
  var isAccepted: [Bool]
  var acceptedCount = 0
  /// RCPT was answered with 2xx, whatever became of MAIL: the host has a recipient in hand.
  var hostHasRecipient = false
  /// Recipients before this one have been named on the wire.
  var nextRecipient = 0
  /// RCPT replies that are still to come, named on the wire or not.
  var unanswered: Int
  /// Any reply to a command of this transaction came.
  var wasAnswered = false
  var mailAccepted = false
  /// Nothing that this connection carried before can be in the way: it is the first, or stands behind RSET.
  var startsClean = false
  /// A reply to the end was no success (LMTP has several).
  var endFailed = false
  var sentBody = false

  init(_ transaction: SMTPClientTransaction, terms: SMTPClientPlan.Terms, named: Int) {
    self.transaction = transaction
    self.terms = terms
    self.named = named
    self.results = Array(repeating: nil, count: transaction.recipients.count)
    self.isAccepted = Array(repeating: false, count: transaction.recipients.count)
    self.unanswered = named
  }

  var result: SMTPTransactionResult {
    SMTPTransactionResult(
      id: transaction.id, recipients: results.map { $0 ?? .notTried }, passedNotifications: terms.passesNotifications,
      sentBody: sentBody)
  }

  /// Gives every named recipient that has no result yet this one.
  mutating func settle(_ result: SMTPRecipientResult, onlyAccepted: Bool = false) {
    for index in 0..<min(named, results.count) where results[index] == nil && (!onlyAccepted || isAccepted[index]) {
      results[index] = result
    }
  }

  /// Whether the host may still hold an envelope once this is over, other than by its end.
  var mayBeOpen: Bool { mailAccepted || hostHasRecipient }

  /// The conversation is over before this transaction.
  mutating func giveUp(_ failure: SMTPClientFailure?, isFirst: Bool) {
    guard isFirst, wasAnswered || sentBody, let failure else { return }
    settle(failure.reply?.isPermanent == true && !sentBody ? .permanent(failure) : .transient(failure))
  }
}
