import DNSTypes

/// What came of a signature, in the words of RFC 8601, 2.7.1.
public enum DKIMResult: String, Hashable, Sendable, CaseIterable {
  /// There was no signature.
  case none
  case pass
  case fail
  /// It may be right, but is not acceptable: a weak key, octets that it does not cover.
  case policy
  /// It can't be read, or asks for what is not known.
  case neutral
  /// Its key could not be got just now.
  case temperror
  /// It can't be verified, and will not be later.
  case permerror
}

/// What came of one signature of a message.
public struct DKIMVerdict: Hashable, Sendable {
  public var result: DKIMResult
  /// Why, in a few words without anything from the message; empty for `pass`.
  public var reason: String
  /// Its tags; nil if it could not be read, or there is none.
  public var signature: DKIMSignature?
  /// Octets of the canonical body that `l=` leaves open to anybody: anything but 0 is a `policy`, never a `pass`.
  public var unsignedOctets: UInt64 = 0
  /// The key's domain only tries DKIM out: the message is to be treated as if not signed (RFC 6376, 3.6.1, tag `t=`).
  public var isTesting = false
  /// Bits of the key, if one was found: 256 for Ed25519.
  public var keyBits: Int?

  init(_ result: DKIMResult, _ reason: String, _ signature: DKIMSignature? = nil) {
    self.result = result
    self.reason = reason
    self.signature = signature
  }
}

/// What the DNS said of a key's name.
public enum DKIMKeyAnswer: Hashable, Sendable {
  /// The TXT records, the strings of each joined.
  case records([[UInt8]])
  /// There is no such name, or no TXT record there.
  case absent
  /// No answer was to be had, or one that DNSSEC forbids to believe.
  case unavailable
}
