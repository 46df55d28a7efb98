import InternetMessage
import MailModel

/// How a transaction can be said to a host with these capabilities: decided before its first command.
public enum SMTPClientPlan: Hashable, Sendable {
  case send(SMTPClientPlan.Terms)
  /// The body must be re-encoded to 7-bit first (RFC 6152, 3), then offered again.
  case needsSevenBit
  /// The host can't have it, now or ever: the same for every recipient.
  case refuse(SMTPClientFailure)

  /// What MAIL, RCPT and the body will say.
  public struct Terms: Hashable, Sendable {
    public var usesUTF8 = false
    public var bodyType = Envelope.BodyType.sevenBit
    public var passesNotifications = false
    public var requiresTLS = false
    public var givesSize = false
    public var framing = SMTPBodyFraming.dotted
  }

  /// - Parameter isVerified: TLS stands, and the certificate was checked.
  static func make(
    _ transaction: SMTPClientTransaction, capabilities: SMTPCapabilities, settings: SMTPClientSettings, isVerified: Bool
  ) -> SMTPClientPlan {
    var terms = Terms()
    terms.passesNotifications = capabilities.dsn
    terms.givesSize = capabilities.size
    if capabilities.maximumSize > 0, UInt64(max(transaction.size, 0)) > capabilities.maximumSize {
      // RFC 1870, 6.1.
      return refuse(
        "552 5.3.4 Message of \(transaction.size) octets is larger than the \(capabilities.maximumSize) that the host takes")
    }
    if transaction.envelope.requiresTLS {
      // RFC 8689, 4.2.1.
      guard isVerified, capabilities.requireTLS else {
        return refuse("550 5.7.30 The sender requires TLS on the whole way, which the host does not promise (REQUIRETLS)")
      }
      terms.requiresTLS = true
    }
    if let problem = internationalize(transaction, capabilities, &terms) { return problem }
    if let problem = chooseBody(transaction, capabilities, settings, &terms) { return problem }
    return .send(terms)
  }

  private static func refuse(_ reason: String) -> SMTPClientPlan { .refuse(SMTPClientFailure(stage: .mail, reason: reason)) }

  /// SMTPUTF8 where it is needed and offered (RFC 6531, 3.4); without it only what can be said in ASCII goes on.
  ///
  /// A header is international only if its sender said so and it is UTF-8 (RFC 6532, 3). Any other with octets beyond ASCII is none
  /// that a standard knows, and goes on as it came.
  private static func internationalize(
    _ transaction: SMTPClientTransaction, _ capabilities: SMTPCapabilities, _ terms: inout Terms
  ) -> SMTPClientPlan? {
    let census = transaction.census
    let hasUTF8Header =
      census.hasEightBitHeader && !census.hasForeignHeader && transaction.envelope.isInternationalized
    let addresses = transaction.recipients.map(\.address) + [transaction.envelope.reversePath].compactMap { $0 }
    guard hasUTF8Header || addresses.contains(where: { $0.needsUTF8 }) else { return nil }
    if capabilities.utf8 {
      terms.usesUTF8 = true
      return nil
    }
    if hasUTF8Header {
      return refuse("550 5.6.9 The message has a header in UTF-8, and the host does not offer SMTPUTF8")
    }
    // U-labels can be said as A-labels; a local part belongs to its own host alone.
    guard let foreign = addresses.first(where: { $0.withASCIIDomain?.needsUTF8 ?? true }) else { return nil }
    return refuse("550 5.6.7 The address \(foreign) needs SMTPUTF8, and the host does not offer it")
  }

  /// 7-bit, 8BITMIME or BINARYMIME; DATA or BDAT.
  private static func chooseBody(
    _ transaction: SMTPClientTransaction, _ capabilities: SMTPCapabilities, _ settings: SMTPClientSettings, _ terms: inout Terms
  ) -> SMTPClientPlan? {
    let census = transaction.census
    let mayChunk = capabilities.chunking && settings.usesChunking
    // NUL, bare CR and bare LF (RFC 3030, 3). Lines that are too long are "binary" to the letter too, but hosts take them.
    if census.isBinary {
      guard mayChunk, capabilities.binaryMIME else { return .needsSevenBit }
      terms.bodyType = .binaryMIME
      terms.framing = .chunk
      return nil
    }
    if census.hasEightBitBody || terms.usesUTF8 {
      guard capabilities.eightBitMIME else { return .needsSevenBit }
      terms.bodyType = .eightBitMIME
    } else if census.hasEightBitHeader, capabilities.eightBitMIME {
      // No body type speaks of the header; a host that takes 8 bits hears that there are some.
      terms.bodyType = .eightBitMIME
    }
    // One round trip less, and no stuffing; worth it only if commands can be sent together.
    if mayChunk, capabilities.pipelining { terms.framing = .chunk }
    return nil
  }
}
