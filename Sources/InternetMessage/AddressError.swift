/// Why bytes are not an address: where, in which production, and what was wrong. `501 5.1.3` (`553 5.6.7` for `eightBit`).
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The production that failed (RFC 5321, 4.1.2 and 4.1.3).
  public enum Production: String, Hashable, Sendable {
    case path = "path"
    case sourceRoute = "source route"
    case localPart = "local part"
    case quotedString = "quoted string"
    case domain = "domain"
    case addressLiteral = "address literal"
  }

  public enum Reason: Hashable, Sendable {
    /// This byte is not there.
    case expected(UInt8)
    /// Nothing where at least one octet must stand.
    case empty
    /// An octet that the production does not have.
    case badCharacter
    /// More octets (or hosts) than this limit.
    case tooLong(limit: Int)
    /// Octets above 127 that are not UTF-8 (RFC 6531, 3.3), or a control character.
    case badUTF8
    /// Octets above 127 without SMTPUTF8 (RFC 6531, 3.5): 553 5.6.7.
    case eightBit
    /// The domain can't be written in A-labels (RFC 5891).
    case badInternationalDomain
    /// Not an IP address, or a tag without content (RFC 5321, 4.1.3).
    case badLiteral
    /// Octets behind a complete address.
    case trailing
  }

  /// Offset into the bytes that were parsed.
  public var position: Int
  public var production: Production
  public var reason: Reason

  public init(_ reason: Reason, in production: Production, at position: Int) {
    self.position = position
    self.production = production
    self.reason = reason
  }

  public var description: String {
    let what: String
    switch reason {
    case .expected(let byte): what = "expected \"\(String(UnicodeScalar(byte)))\""
    case .empty: what = "is empty"
    case .badCharacter: what = "has a character that may not stand there"
    case .tooLong(let limit): what = "is longer than \(limit)"
    case .badUTF8: what = "is not valid UTF-8"
    case .eightBit: what = "has characters beyond ASCII, which need SMTPUTF8"
    case .badInternationalDomain: what = "is not a valid internationalized name"
    case .badLiteral: what = "is not an IP address"
    case .trailing: what = "is followed by something else"
    }
    return "\(production.rawValue) \(what) (at octet \(position))"
  }
}
