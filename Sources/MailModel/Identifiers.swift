import Outside

/// The id of one accepted message (one envelope), made by us before it is accepted, unique for ever, in order of time.
///
/// It is what people see in `Received`, logs, `martlet queue` and `martlet trace`, made by `QueueIDs`.
/// 48 bits of milliseconds, 16 that tell those of one millisecond apart; shown as 13 letters and digits of Crockford's base 32 in lower case.
public struct QueueID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

  /// An id: the milliseconds of `time` since 1970 (48 bits; earlier counts as 1970) and 16 bits of `randomness`.
  public init(at time: Timestamp, randomness: UInt64) {
    let milliseconds = UInt64(clamping: time.microseconds / 1_000)
    self.rawValue = milliseconds << 16 | randomness & 0xFFFF
  }

  /// When it was made, to the millisecond.
  public var time: Timestamp { Timestamp(microseconds: Int64(truncatingIfNeeded: rawValue >> 16) &* 1_000) }
}

/// One recipient of a queued message.
public struct QueueRecipientID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

public struct AccountID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

public struct MailboxID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Immutable stored bytes ([prefix][body]); opaque.
public struct BodyID: Hashable, Sendable {
  public let rawValue: Int64
  public init(rawValue: Int64) { self.rawValue = rawValue }
}

/// A message's number in its mailbox (RFC 9051, 2.3.1.1): from 1, only growing, never used twice under one `UIDValidity`.
public struct UID: Hashable, Comparable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// RFC 9051, 2.3.1.1.
public struct UIDValidity: Hashable, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// A modification sequence (RFC 7162): one counter an account, only growing, at most 2^63 - 1.
public struct ModSeq: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
