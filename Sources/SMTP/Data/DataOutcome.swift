/// What is known of a body when it, or a chunk of it, has ended.
public struct DataOutcome: Hashable, Sendable {
  /// What makes a body unfit (HOSTILE 1 and 12).
  public struct Defects: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let bareCarriageReturn = Self(rawValue: 1)
    public static let bareLineFeed = Self(rawValue: 2)
    public static let nul = Self(rawValue: 4)
    /// A line over `SMTPLimits.bodyLine`.
    public static let longLine = Self(rawValue: 8)
    /// More than `SMTPLimits.messageSize`.
    public static let tooLarge = Self(rawValue: 16)
    /// So far beyond `messageSize` that reading on was given up: the connection can't go on.
    public static let overrun = Self(rawValue: 32)

    /// What leaves in doubt where lines, and with them messages, end.
    static let ambiguous: Self = [.bareCarriageReturn, .bareLineFeed, .nul]
  }

  /// Octets of the message so far, dots unstuffed.
  public var octets: UInt64 = 0
  /// Octets of the longest line so far, without its CRLF; not counted in BODY=BINARYMIME.
  public var longestLine = 0
  public var defects: Defects = []

  /// Octets of the line that goes on in the next chunk.
  var openLine = 0
  /// The last octet was a CR: a chunk may end between CR and LF.
  var endsWithCarriageReturn = false

  public init() {}
}
