/// What a body needs of a transport.
public struct BodyCensus: Hashable, Sendable {
  /// Octets of the body as received.
  public var size: Int
  /// Bytes above 127 in the header (RFC 6532): the message needs SMTPUTF8.
  public var hasEightBitHeader: Bool
  /// Bytes above 127 in the body: needs 8BITMIME.
  public var hasEightBitBody: Bool
  /// NUL, bare CR or LF, or lines over 998 octets: needs BINARYMIME.
  public var isBinary: Bool
  public var longestLine: Int
  /// `Received` fields in the header: the hops so far.
  public var hops: Int

  public init(
    size: Int = 0, hasEightBitHeader: Bool = false, hasEightBitBody: Bool = false, isBinary: Bool = false, longestLine: Int = 0,
    hops: Int = 0
  ) {
    self.size = size
    self.hasEightBitHeader = hasEightBitHeader
    self.hasEightBitBody = hasEightBitBody
    self.isBinary = isBinary
    self.longestLine = longestLine
    self.hops = hops
  }
}
