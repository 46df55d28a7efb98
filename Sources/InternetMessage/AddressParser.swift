import Bytes
import Outside

/// Reads `Path` and `Mailbox` (RFC 5321, 4.1.2) off a cursor, in any of their forms, and nothing behind them.
///
/// Total and linear: each octet is looked at a bounded number of times. On failure the cursor's position means nothing.
public struct AddressParser: Sendable {
  /// Whether octets beyond ASCII are allowed: SMTPUTF8 was given (RFC 6531, 3.4).
  public var allowsUTF8: Bool
  public var limits: AddressLimits

  public init(allowsUTF8: Bool, limits: AddressLimits = .init()) {
    self.allowsUTF8 = allowsUTF8
    self.limits = limits
  }

  /// `Reverse-path`: `<>` gives nil. A source route is dropped (RFC 5321, 3.3 and appendix C).
  public func reversePath(_ cursor: inout ByteCursor) throws(AddressError) -> EmailAddress? {
    if cursor.peek == 0x3C, cursor.peek(at: 1) == 0x3E {
      cursor.skip(2)
      return nil
    }
    return try path(&cursor, allowsPostmaster: false)
  }

  /// `Forward-path`, or `<Postmaster>` in any case, which has no domain (RFC 5321, 4.1.1.3).
  public func forwardPath(_ cursor: inout ByteCursor) throws(AddressError) -> EmailAddress {
    try path(&cursor, allowsPostmaster: true)
  }

  /// A whole text that is one mailbox, as people and settings write it: `user@example.org`, without angle brackets.
  public func mailbox(_ text: String) throws(AddressError) -> EmailAddress {
    var cursor = ByteCursor(Array(text.utf8))
    let address = try mailbox(&cursor)
    guard cursor.isAtEnd else { throw AddressError(.trailing, in: .path, at: cursor.position) }
    return address
  }

  private func path(_ cursor: inout ByteCursor, allowsPostmaster: Bool) throws(AddressError) -> EmailAddress {
    guard cursor.take(0x3C) else { throw AddressError(.expected(0x3C), in: .path, at: cursor.position) }
    if cursor.peek == 0x40 { try skipSourceRoute(&cursor) }
    let start = cursor.position
    let address: EmailAddress
    if allowsPostmaster, cursor.take(ignoringCase: "postmaster>") {
      return EmailAddress(localPart: "postmaster", domain: "")
    } else {
      address = try mailbox(&cursor)
    }
    guard cursor.position - start <= limits.mailbox else {
      throw AddressError(.tooLong(limit: limits.mailbox), in: .path, at: start)
    }
    guard cursor.take(0x3E) else { throw AddressError(.expected(0x3E), in: .path, at: cursor.position) }
    return address
  }

  /// `A-d-l ":"` (RFC 5321, 4.1.2): `@a,@b:`. Read, so that the mailbox behind it is found, and dropped.
  private func skipSourceRoute(_ cursor: inout ByteCursor) throws(AddressError) {
    for _ in 0..<limits.routeHosts {
      guard cursor.take(0x40) else { throw AddressError(.expected(0x40), in: .sourceRoute, at: cursor.position) }
      _ = try domain(&cursor)
      if cursor.take(0x3A) { return }
      guard cursor.take(0x2C) else { throw AddressError(.expected(0x3A), in: .sourceRoute, at: cursor.position) }
    }
    throw AddressError(.tooLong(limit: limits.routeHosts), in: .sourceRoute, at: cursor.position)
  }

  /// `Mailbox`: a local part, `@`, and a domain or an address literal.
  public func mailbox(_ cursor: inout ByteCursor) throws(AddressError) -> EmailAddress {
    let local = cursor.peek == 0x22 ? try quotedString(&cursor) : try dotString(&cursor)
    guard cursor.take(0x40) else { throw AddressError(.expected(0x40), in: .localPart, at: cursor.position) }
    let domain = cursor.peek == 0x5B ? try addressLiteral(&cursor) : try domain(&cursor)
    return EmailAddress(localPart: local, domain: domain)
  }

  /// `Dot-string`: atoms with single dots between.
  private func dotString(_ cursor: inout ByteCursor) throws(AddressError) -> String {
    let start = cursor.position
    var isASCII = true
    var previous: UInt8 = 0x2E
    while let byte = cursor.peek, byte == 0x2E || byte.isAtomText {
      if byte == 0x2E, previous == 0x2E { throw AddressError(.badCharacter, in: .localPart, at: cursor.position) }
      if byte < 0x80 { cursor.skip(1) } else { try takeUTF8(&cursor, in: .localPart, isASCII: &isASCII) }
      previous = byte
    }
    let end = cursor.position
    guard end > start else {
      throw AddressError(cursor.isAtEnd || cursor.peek == 0x40 ? .empty : .badCharacter, in: .localPart, at: start)
    }
    guard previous != 0x2E else { throw AddressError(.badCharacter, in: .localPart, at: end - 1) }
    guard end - start <= limits.localPart else { throw AddressError(.tooLong(limit: limits.localPart), in: .localPart, at: start) }
    return String(decoding: cursor[start..<end], as: UTF8.self)
  }

  /// `Quoted-string`: any ASCII but controls, `"` and `\` behind a backslash. May be empty.
  private func quotedString(_ cursor: inout ByteCursor) throws(AddressError) -> String {
    let start = cursor.position
    cursor.skip(1)
    var local: [UInt8] = []
    var isASCII = true
    while let byte = cursor.peek {
      if byte == 0x22 {
        cursor.skip(1)
        guard local.count <= limits.localPart else { break }
        return String(decoding: local, as: UTF8.self)
      }
      guard local.count <= limits.localPart else { break }
      if byte >= 0x80 {
        let from = cursor.position
        try takeUTF8(&cursor, in: .quotedString, isASCII: &isASCII)
        local += cursor[from..<cursor.position]
        continue
      }
      guard byte >= 0x20, byte < 0x7F else { throw AddressError(.badCharacter, in: .quotedString, at: cursor.position) }
      cursor.skip(1)
      guard byte == 0x5C else {
        local.append(byte)
        continue
      }
      // quoted-pairSMTP: a backslash and any of octets 32 to 126.
      guard let quoted = cursor.next(), quoted >= 0x20, quoted < 0x7F else {
        throw AddressError(.badCharacter, in: .quotedString, at: cursor.position)
      }
      local.append(quoted)
    }
    guard local.count <= limits.localPart else {
      throw AddressError(.tooLong(limit: limits.localPart), in: .localPart, at: start)
    }
    throw AddressError(.expected(0x22), in: .quotedString, at: cursor.position)
  }

  /// `Domain`: labels of letters, digits and inner hyphens, U-labels with SMTPUTF8. `_` is let through as DNS does: such hosts
  /// send mail, and it harms nothing.
  public func domain(_ cursor: inout ByteCursor) throws(AddressError) -> String {
    let start = cursor.position
    var labelStart = start
    var isASCII = true
    while true {
      while let byte = cursor.peek {
        if byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x5F {
          cursor.skip(1)
        } else if byte >= 0x80 {
          try takeUTF8(&cursor, in: .domain, isASCII: &isASCII)
        } else {
          break
        }
      }
      let label = cursor[labelStart..<cursor.position]
      guard let first = label.first, let last = label.last else {
        throw AddressError(cursor.isAtEnd || cursor.position == start ? .empty : .badCharacter, in: .domain, at: cursor.position)
      }
      guard first != 0x2D, last != 0x2D else { throw AddressError(.badCharacter, in: .domain, at: labelStart) }
      guard label.count <= limits.label || !isASCII else {
        throw AddressError(.tooLong(limit: limits.label), in: .domain, at: labelStart)
      }
      guard cursor.position - start <= limits.domain else {
        throw AddressError(.tooLong(limit: limits.domain), in: .domain, at: start)
      }
      guard cursor.take(0x2E) else { break }
      labelStart = cursor.position
    }
    let text = String(decoding: cursor[start..<cursor.position], as: UTF8.self)
    if !isASCII {
      guard let ascii = InternationalDomain.ascii(text), Self.isHostName(ascii) else {
        throw AddressError(.badInternationalDomain, in: .domain, at: start)
      }
    }
    return text
  }

  /// What mapping by UTS 46 made is looked at again: full-width dots and slashes become others.
  private static func isHostName(_ text: String) -> Bool {
    var previous: UInt8 = 0x2E
    for byte in text.utf8 {
      guard byte.isASCIIAlphanumeric || byte == 0x2D || byte == 0x5F || (byte == 0x2E && previous != 0x2E) else { return false }
      previous = byte
    }
    return previous != 0x2E
  }

  /// `address-literal` (RFC 5321, 4.1.3), with its brackets, in one spelling for each IP address.
  public func addressLiteral(_ cursor: inout ByteCursor) throws(AddressError) -> String {
    let start = cursor.position
    guard cursor.take(0x5B) else { throw AddressError(.expected(0x5B), in: .addressLiteral, at: start) }
    // dcontent: visible ASCII but the brackets and the backslash.
    let range = cursor.takeRange(atMost: limits.domain) { $0.isASCIIVisible && $0 != 0x5B && $0 != 0x5C && $0 != 0x5D }
    let inside = cursor[range]
    guard cursor.take(0x5D) else {
      let reason: AddressError.Reason = range.count >= limits.domain ? .tooLong(limit: limits.domain) : .expected(0x5D)
      throw AddressError(reason, in: .addressLiteral, at: cursor.position)
    }
    guard range.count + 2 <= limits.domain else {
      throw AddressError(.tooLong(limit: limits.domain), in: .addressLiteral, at: start)
    }
    guard let colon = inside.firstIndex(of: 0x3A) else {
      guard let address = IPAddress(parsingIPv4: inside, allowsLeadingZeros: true) else {
        throw AddressError(.badLiteral, in: .addressLiteral, at: start)
      }
      return "[\(address)]"
    }
    let tag = inside[..<colon]
    let content = inside[(colon + 1)...]
    if tag.equals(ignoringCase: "IPv6") {
      guard content.contains(0x3A), let address = IPAddress(parsing: content) else {
        throw AddressError(.badLiteral, in: .addressLiteral, at: start)
      }
      return "[ipv6:\(address.ipv6Description)]"
    }
    // Standardized-tag: an Ldh-str. None but IPv6 has been registered, so that nothing can be delivered to it.
    guard let last = tag.last, last.isASCIIAlphanumeric, tag.allSatisfy({ $0.isASCIIAlphanumeric || $0 == 0x2D }), !content.isEmpty
    else { throw AddressError(.badLiteral, in: .addressLiteral, at: start) }
    return String(decoding: cursor[start..<cursor.position], as: UTF8.self)
  }

  private func takeUTF8(
    _ cursor: inout ByteCursor, in production: AddressError.Production, isASCII: inout Bool
  ) throws(AddressError) {
    guard allowsUTF8 else { throw AddressError(.eightBit, in: production, at: cursor.position) }
    let position = cursor.position
    // C1 controls are no more welcome than C0 ones.
    guard let scalar = cursor.takeUTF8(), scalar >= 0xA0 else { throw AddressError(.badUTF8, in: production, at: position) }
    isASCII = false
  }
}
