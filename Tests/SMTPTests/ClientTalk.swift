import Bytes
import InternetMessage
import MailModel
import NIOCore

@testable import SMTP

/// A client conversation driven by hand: replies in as text, what it says as text.
struct ClientTalk {
  var client: SMTPClient
  private(set) var said = ""

  init(_ settings: SMTPClientSettings = SMTPClientSettings(hostname: "client.test")) { client = SMTPClient(settings) }

  /// A conversation that is ready, after an EHLO reply with these keywords.
  init(offering keywords: [String], settings: SMTPClientSettings = SMTPClientSettings(hostname: "client.test", tls: .none)) {
    self.init(settings)
    reply(220)
    _ = step()
    client.received(SMTPReply(250, lines: ["server.test"] + keywords))
    _ = step()
    said = ""
  }

  mutating func step() -> SMTPClientStep {
    var output = ByteBuffer()
    let step = client.step(into: &output)
    said += String(buffer: output)
    return step
  }

  mutating func reply(_ code: UInt16, _ enhanced: EnhancedStatusCode? = nil, _ text: String = "text") {
    client.received(SMTPReply(code, enhanced, text))
  }

  /// Everything said since the last call.
  mutating func taken() -> String {
    _ = step()
    defer { said = "" }
    return said
  }

  /// The next step, which must be a completed transaction.
  mutating func result() -> SMTPTransactionResult? {
    if case .completed(let result) = step() { return result }
    return nil
  }
}

extension SMTPClientTransaction {
  /// A message from `a@client.test` to these, of 100 octets.
  static func sample(
    _ id: UInt64 = 1, to recipients: [String] = ["b@server.test"], size: Int = 100, census: BodyCensus = BodyCensus(),
    envelope: Envelope = Envelope(reversePath: EmailAddress(localPart: "a", domain: "client.test")),
    notification: NotificationRequest = NotificationRequest()
  ) -> SMTPClientTransaction {
    SMTPClientTransaction(
      id: id, envelope: envelope,
      recipients: recipients.map { text in
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return .init(
          address: EmailAddress(localPart: parts[0], domain: parts.count > 1 ? parts[1] : ""), notification: notification)
      }, size: size, census: census)
  }
}

extension SMTPRecipientResult {
  var code: UInt16? {
    switch self {
    case .accepted(let reply): reply.code
    case .transient(let failure), .permanent(let failure): failure.reply?.code
    case .notTried: nil
    }
  }

  var isTransient: Bool { if case .transient = self { true } else { false } }
  var isPermanent: Bool { if case .permanent = self { true } else { false } }
  var isAccepted: Bool { if case .accepted = self { true } else { false } }
}
