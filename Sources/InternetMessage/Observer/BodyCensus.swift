/// What a body needs of a transport.
public struct BodyCensus: Hashable, Sendable {
  /// Octets of the body as received.
  public var size: Int
  /// Bytes above 127 in the header.
  public var hasEightBitHeader: Bool
  /// Those bytes are no UTF-8: the header is in a charset that nothing names, which RFC 6532 does not cover.
  public var hasForeignHeader: Bool
  /// Bytes above 127 in the body: needs 8BITMIME.
  public var hasEightBitBody: Bool
  /// NUL, bare CR or bare LF: needs BINARYMIME.
  public var isBinary: Bool
  /// Octets of the longest line without its end. Over 998 it is "binary" to the letter (RFC 3030, 3), yet nearly every host takes it.
  public var longestLine: Int
  /// `Received` fields in the header: the hops so far.
  public var hops: Int

  public init(
    size: Int = 0, hasEightBitHeader: Bool = false, hasForeignHeader: Bool = false, hasEightBitBody: Bool = false,
    isBinary: Bool = false, longestLine: Int = 0, hops: Int = 0
  ) {
    self.size = size
    self.hasEightBitHeader = hasEightBitHeader
    self.hasForeignHeader = hasForeignHeader
    self.hasEightBitBody = hasEightBitBody
    self.isBinary = isBinary
    self.longestLine = longestLine
    self.hops = hops
  }
}
