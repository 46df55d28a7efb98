/// All that was learnt of a message while it streamed past.
public struct MessageObservation: Sendable {
  public var census: BodyCensus
  public var summary: MessageSummary
  public var facts: HeaderFacts
  /// Set if the header broke a budget: the message is refused, and `summary` is only of what came before.
  public var problem: HeaderProblem?
  /// What another parser may read in another way; a filter's score.
  public var ambiguities: Ambiguities
  /// How many times.
  public var ambiguityCount: Int
  /// The MIME parts in the order of the message, each behind its parent; the first is the message itself.
  public var parts: [MessagePart]
}

/// A header over its budget: `552 5.3.4`.
public enum HeaderProblem: Hashable, Sendable {
  /// More fields than `MessageLimits.fields`.
  case tooManyFields(limit: Int)
  /// A field of more octets than `MessageLimits.fieldOctets`.
  case fieldTooLong(limit: Int)
  /// A header of more octets than `MessageLimits.headerOctets`.
  case headerTooLong(limit: Int)
}

/// What the message's own header (not its parts') says about itself, for those who judge it.
public struct HeaderFacts: Hashable, Sendable {
  /// Fields in all, and how many of each that may stand only once (RFC 5322, 3.6).
  public var fields = 0
  public var from = 0
  public var sender = 0
  public var replyTo = 0
  public var to = 0
  public var cc = 0
  public var bcc = 0
  public var date = 0
  public var messageID = 0
  public var subject = 0
  public var inReplyTo = 0
  public var references = 0
  public var mimeVersion = 0
  /// `Received` fields: the hops so far.
  public var received = 0
  /// Whether any field begins with `Resent-`.
  public var isResent = false
  /// Addresses in the first `From` field, groups not counted; at most `MessageLimits.addresses`.
  public var fromAddresses = 0
  /// Whether the first `From` field has group syntax (RFC 6854).
  public var fromHasGroup = false
  /// The domain of the only address of the only `From` field, lower case; nil if there are several, or none, or it isn't a domain.
  public var fromDomain: String?
  /// The addresses of `Delivered-To` fields, from the top, at most 100: where the message has already been.
  public var deliveredTo: [String] = []
  /// The message does not begin with a field: all of it is body, and an empty line must be put in front of it.
  public var hasNoHeader = false
  /// Octets up to and with the empty line behind the header.
  public var headerOctets = 0

  public init() {}
}

/// What makes two parsers see two messages.
public struct Ambiguities: OptionSet, Hashable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Two `Content-Type`, `Content-Transfer-Encoding` or `Content-Disposition` fields in one part; the first counts.
  public static let repeatedContentField = Self(rawValue: 1 << 0)
  /// A parameter (`charset`, `boundary`, `filename`) twice; the first counts.
  public static let repeatedParameter = Self(rawValue: 1 << 1)
  /// A field that may stand only once stands twice (RFC 5322, 3.6); the first counts.
  public static let repeatedField = Self(rawValue: 1 << 2)
  /// A line in a header that is neither field nor continuation.
  public static let malformedField = Self(rawValue: 1 << 3)
  /// Text behind the final boundary of a multipart.
  public static let epilogue = Self(rawValue: 1 << 4)
  /// A multipart that ends without its final boundary.
  public static let missingFinalBoundary = Self(rawValue: 1 << 5)
  /// A header cut off by a boundary.
  public static let headerEndedByBoundary = Self(rawValue: 1 << 6)
  /// Nested deeper than `MessageLimits.depth`: one opaque part from there.
  public static let tooDeep = Self(rawValue: 1 << 7)
  /// More than `MessageLimits.parts`: the rest belongs to the last part.
  public static let tooManyParts = Self(rawValue: 1 << 8)
  /// A multipart without a boundary, or with one over `MessageLimits.boundaryOctets`: one opaque part.
  public static let badBoundary = Self(rawValue: 1 << 9)
  /// A boundary that is open already, or that another open one begins with.
  public static let overlappingBoundary = Self(rawValue: 1 << 10)
  /// A multipart or message with base 64 or quoted-printable (RFC 2045, 6.4): not looked into.
  public static let encodedMultipart = Self(rawValue: 1 << 11)
  /// A transfer encoding that is not known.
  public static let unknownEncoding = Self(rawValue: 1 << 12)
  /// A part's header over the budget: what is beyond was not read.
  public static let partHeaderTooLong = Self(rawValue: 1 << 13)
  /// A `Content-Type` that is not type and subtype.
  public static let badContentType = Self(rawValue: 1 << 14)
  /// No boundary between header and text: see `HeaderFacts.hasNoHeader`.
  public static let noHeader = Self(rawValue: 1 << 15)
}

/// One part of a message, as a row of a flat table.
public struct MessagePart: Hashable, Sendable {
  /// What is inside.
  public enum Kind: UInt8, Hashable, Sendable {
    /// Text of any subtype.
    case text
    /// Anything else that is one piece, also what was not looked into.
    case leaf
    /// Other parts.
    case multipart
    /// One message, which is the next row.
    case message
  }

  public enum Encoding: UInt8, Hashable, Sendable {
    case sevenBit, eightBit, binary, quotedPrintable, base64
    /// Named, but not known.
    case other
  }

  /// The row of the part that holds this one; -1 for the message itself.
  public var parent: Int
  /// How deep; 0 for the message itself.
  public var depth: Int
  public var kind: Kind
  /// Type and subtype in lower case.
  public var type: String
  public var subtype: String
  public var encoding: Encoding
  public var isAttachment: Bool
  /// Offsets into the message as it was observed.
  public var headerStart: Int
  public var bodyStart: Int
  /// Behind the last octet; the line end before a boundary belongs to the boundary (RFC 2046, 5.1.1).
  public var bodyEnd: Int
  /// Line ends in the body.
  public var lines: Int
}
