/// What is read of signatures and keys. Over it, a signature counts as not verified, with the reason in its verdict.
public struct DKIMLimits: Hashable, Sendable {
  /// Signatures of a message that are looked at, from the top of the header. The others get no verdict (RFC 6376, 6.1 leaves the
  /// number to the verifier).
  public var signatures = 10
  /// Octets of a `DKIM-Signature` field. Over it: `neutral`.
  public var signatureOctets = 16_384
  /// Tags of a signature or a key record. Over it: `neutral`, `permerror`.
  public var tags = 64
  /// Fields that one signature names, repetitions counted. Over it: `neutral`; when signing, an error.
  public var signedFields = 1_000
  /// Octets of a key record, its strings joined. Over it: `permerror`.
  public var keyRecordOctets = 8_192
  /// Key records that are looked at if a name has several; RFC 6376, 3.6.2.2 says there must be one.
  public var keyRecords = 4
  /// Bits of an RSA key at least (RFC 8301, 3.2). Below it: `policy`.
  public var leastRSABits = 1_024
  /// Bits of an RSA key at most (RFC 8301, 3.2). Over it: `policy`.
  public var mostRSABits = 4_096
  /// Bits of an RSA key's exponent: nearly all have 17; a long one makes each verification as dear as signing. Over it: `policy`.
  public var exponentBits = 64
  /// How much later than `x=` says a signature is still good, for clocks that differ.
  public var clockSkew = Duration.seconds(300)

  public init() {}
}
