import Bytes
import Outside

/// A mailbox address (RFC 5321, 4.1.2 `Mailbox`; RFC 6531, 3.3), or the bare `<postmaster>` (RFC 5321, 4.5.1).
///
/// `%`, `!` and everything else that once meant a route are plain data of the local part: no part of Martlet reads a second
/// address out of one.
public struct EmailAddress: Hashable, Sendable {
  /// The local part with quotes and backslashes resolved: `a b` for `"a b"@example.org`. As given: only the host of the domain
  /// may change it. Empty only for `""@example.org`.
  public let localPart: String

  /// The domain in lower case as given (A-labels or U-labels), an address literal with its brackets (`[127.0.0.1]`,
  /// `[ipv6:2001:db8::1]`), or empty for the bare `postmaster`.
  public let domain: String

  /// From parts already known to be valid.
  public init(localPart: String, domain: String) {
    self.localPart = localPart
    self.domain = domain.asciiLowercased
  }

  /// The bare `postmaster` of RFC 5321, 4.5.1, which is ours whatever our domains are.
  public var isBarePostmaster: Bool { domain.isEmpty }

  /// Whether the domain is an address literal.
  public var isAddressLiteral: Bool { domain.utf8.first == 0x5B }

  /// The IP address of an address literal; nil for a name, a general literal, or the bare postmaster.
  public var literalAddress: IPAddress? {
    guard isAddressLiteral, domain.utf8.last == 0x5D else { return nil }
    let inside = domain.utf8.dropFirst().dropLast()
    return inside.starts(with: "ipv6:".utf8) ? IPAddress(parsing: inside.dropFirst(5)) : IPAddress(parsing: inside)
  }

  /// Whether SMTPUTF8 is needed to say it (RFC 6531, 3.4).
  public var needsUTF8: Bool { !localPart.utf8.allSatisfy { $0 < 0x80 } || !domain.utf8.allSatisfy { $0 < 0x80 } }

  /// The domain in A-labels (RFC 5891), lower case; nil if that can't be done. ASCII domains and literals are themselves.
  public var asciiDomain: String? { InternationalDomain.ascii(domain) }

  /// The same address with its domain in A-labels, which needs no SMTPUTF8 unless the local part does.
  public var withASCIIDomain: EmailAddress? { asciiDomain.map { EmailAddress(localPart: localPart, domain: $0) } }

  /// What local look-ups compare: the local part in lower case and normal form C, `@`, the domain in A-labels.
  ///
  /// Only for domains that are ours: elsewhere, case belongs to the other host (RFC 5321, 2.4). `@` may stand in the local
  /// part, never in the domain, so the last one divides.
  public var lookupKey: String {
    let local: String
    if localPart.utf8.allSatisfy({ $0 < 0x80 }) {
      local = localPart.asciiLowercased
    } else {
      local = InternationalDomain.normalized(localPart.lowercased())
    }
    return domain.isEmpty ? local : "\(local)@\(asciiDomain ?? domain)"
  }
}

extension EmailAddress: CustomStringConvertible {
  /// The address as it stands in a path, without the angle brackets: quoted where needed (RFC 5321, 4.1.2).
  ///
  /// Control characters, which no parser lets in, are written as `?`, so the text never breaks a line.
  public var wire: String {
    guard !domain.isEmpty else { return Self.quotedIfNeeded(localPart) }
    let domainText = domain.utf8.starts(with: "[ipv6:".utf8) ? "[IPv6:" + domain.dropFirst(6) : domain
    return "\(Self.quotedIfNeeded(localPart))@\(domainText)"
  }

  public var description: String { wire }

  static func quotedIfNeeded(_ localPart: String) -> String {
    var previous: UInt8 = 0x2E
    var isDotString = true
    for byte in localPart.utf8 {
      if byte == 0x2E ? previous == 0x2E : !byte.isAtomText { isDotString = false }
      previous = byte
    }
    if isDotString, previous != 0x2E { return localPart }
    var bytes: [UInt8] = [0x22]
    for byte in localPart.utf8 {
      if byte == 0x22 || byte == 0x5C { bytes.append(0x5C) }
      bytes.append(byte.isASCIIControl ? 0x3F : byte)
    }
    bytes.append(0x22)
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension UInt8 {
  /// `atext` (RFC 5322, 3.2.3), with every octet of UTF-8 beyond ASCII (RFC 6531, 3.3; RFC 6532, 3.2).
  @inlinable public var isAtomText: Bool {
    switch self {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
    // ! # $ % & ' * + - / = ? ^ _ ` { | } ~
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2F, 0x3D, 0x3F, 0x5E, 0x5F, 0x60, 0x7B...0x7E: true
    default: false
    }
  }
}
