/// A message's flags and keywords (RFC 9051, 2.3.2).
public struct Flags: Hashable, Sendable {
  /// The system flags that are stored.
  public struct System: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let seen = Self(rawValue: 1)
    public static let answered = Self(rawValue: 2)
    public static let flagged = Self(rawValue: 4)
    public static let deleted = Self(rawValue: 8)
    public static let draft = Self(rawValue: 16)
  }

  public var system: System
  /// Keywords, sorted, without duplicates, compared without case (the first spelling stays). At most 128, each of 1 to 100 octets.
  public var keywords: [String]

  public init(_ system: System = [], keywords: [String] = []) {
    self.system = system
    self.keywords = keywords
  }
}
