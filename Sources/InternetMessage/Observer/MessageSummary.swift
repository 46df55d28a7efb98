/// What is known of a message's content once it has streamed past: everything that mailboxes show without reading it.
///
/// Made by `InternetMessage`'s observer while the body arrives, stored beside the pointer, cached as it goes on the wire.
public struct MessageSummary: Hashable, Sendable {
  /// The IMAP `envelope` structure, as on the wire, parentheses included (RFC 9051, 7.5.2).
  public var envelope: [UInt8]
  /// The IMAP `body` (extensible, `BODYSTRUCTURE`) structure, as on the wire.
  public var bodyStructure: [UInt8]
  /// `Message-ID` without its brackets; nil if absent or beyond 998 octets.
  public var messageID: String?
  /// Ids of `References` and `In-Reply-To`, oldest first, at most 100, for threads.
  public var references: [String]
  /// `Subject`, decoded, at most 1,000 octets, without control characters.
  public var subject: String
  /// The base subject (RFC 5256, 2.1), for threads.
  public var baseSubject: String
  /// The date of `Date`, seconds since 1970; nil if absent or beyond reason.
  public var sentDate: Int64?
  /// First address of `From` for people, decoded.
  public var from: String
  /// The first 200 characters of text, decoded (RFC 8970).
  public var preview: String
  public var hasAttachment: Bool

  public init(
    envelope: [UInt8] = [], bodyStructure: [UInt8] = [], messageID: String? = nil, references: [String] = [], subject: String = "",
    baseSubject: String = "", sentDate: Int64? = nil, from: String = "", preview: String = "", hasAttachment: Bool = false
  ) {
    self.envelope = envelope
    self.bodyStructure = bodyStructure
    self.messageID = messageID
    self.references = references
    self.subject = subject
    self.baseSubject = baseSubject
    self.sentDate = sentDate
    self.from = from
    self.preview = preview
    self.hasAttachment = hasAttachment
  }
}
