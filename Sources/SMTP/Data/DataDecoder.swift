import NIOCore

/// A message body on its way in: dot-stuffed up to `<CRLF>.<CRLF>` (RFC 5321, 4.5.2), or a chunk of exactly N octets (RFC 3030, 2).
///
/// Gives slices of the input without copying, but for what unstuffing takes out.
public struct DataDecoder: Sendable {
  /// What a call gave.
  public enum Output: Sendable {
    /// Octets of the message, dots unstuffed.
    case bytes(ByteBuffer)
    /// Nothing more without more input.
    case needsInput
    /// The end; what follows in the input is the next command.
    case ended(DataOutcome)
  }

  /// Whether everything is thrown away: nothing will be yielded any more, and a session may drop what it has.
  public var isDiscarding: Bool { false }

  /// Consumes input.
  public mutating func next(from input: inout ByteBuffer) -> Output { .needsInput }
}

/// What is known of a body, or of its chunks so far.
public struct DataOutcome: Hashable, Sendable {
  /// What makes a body unfit (HOSTILE 1).
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
  }

  /// Octets of the message, dots unstuffed.
  public var octets: UInt64 = 0
  /// Octets of the longest line without its CRLF.
  public var longestLine = 0
  public var defects: Defects = []
}
