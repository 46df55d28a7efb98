import InternetMessage

/// A mail transaction (RFC 5321, 3.3): from MAIL to the end of the message.
struct SMTPTransaction: Sendable {
  let sender: SMTPSender
  /// Each address once.
  private(set) var recipients: [SMTPRecipient] = []
  /// For each accepted RCPT the place of its address in `recipients`: LMTP answers each (RFC 2033, 4.2).
  private(set) var answers: [Int] = []
  /// RCPT commands refused because there were too many.
  var overshoot = 0
  /// What the chunks so far came to; nil before the first BDAT.
  var chunks: DataOutcome?

  /// Where each address stands; filled only when there are many, since a few are compared faster.
  private var places: [EmailAddress: Int] = [:]
  private static let fewRecipients = 8

  init(sender: SMTPSender) { self.sender = sender }

  /// The place of `address` if it has been accepted.
  func place(of address: EmailAddress) -> Int? {
    if recipients.count <= Self.fewRecipients { return recipients.firstIndex { $0.address == address } }
    return places[address]
  }

  /// Adds an accepted recipient.
  mutating func add(_ recipient: SMTPRecipient) {
    answers.append(recipients.count)
    recipients.append(recipient)
    if recipients.count == Self.fewRecipients + 1 {
      for (index, recipient) in recipients.enumerated() { places[recipient.address] = index }
    } else if recipients.count > Self.fewRecipients {
      places[recipient.address] = recipients.count - 1
    }
  }

  /// Notes that an address was given again: it gets the message once (HOSTILE 11).
  mutating func repeatRecipient(at place: Int) { answers.append(place) }
}
