import Bytes
@_spi(_Unicode) import Swift

/// Mailbox names as they are kept: NFC (RFC 9051, 5.1), levels between `/`, the first level `INBOX` in capitals.
enum MailboxName {
  static let inbox = "INBOX"

  static func checked(_ name: String, _ limits: StoreLimits) throws(StoreError) -> String {
    if name == inbox { return inbox }
    guard name.utf8.count <= limits.mailboxName else {
      throw .invalid("a mailbox name has at most \(limits.mailboxName) octets")
    }
    let normal = normalized(name)
    // NFC makes some names longer (RFC 9051, 5.1; composition exclusions).
    guard normal.utf8.count <= limits.mailboxName else {
      throw .invalid("a mailbox name has at most \(limits.mailboxName) octets")
    }
    var levels = normal.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard levels.count <= limits.mailboxLevels else { throw .invalid("a mailbox name has at most \(limits.mailboxLevels) levels") }
    for level in levels {
      guard !level.isEmpty, level != ".", level != "..", level.utf8.count <= limits.mailboxLevel else {
        throw .invalid("each level of a mailbox name has 1 to \(limits.mailboxLevel) octets and is not . or ..")
      }
      guard level.unicodeScalars.allSatisfy(isAllowed) else {
        throw .invalid("a mailbox name has no control characters and none of % and *")
      }
    }
    if let first = levels.first, first.asciiLowercased == "inbox" { levels[0] = inbox }
    return levels.joined(separator: "/")
  }

  private static func normalized(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 >= 0x80 }) else { return name }
    var scalars = String.UnicodeScalarView()
    for scalar in name._nfc { scalars.append(scalar) }
    return String(scalars)
  }

  /// No C0 and C1 controls, line and paragraph separators (RFC 5198), or wildcards of LIST.
  private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x25, 0x2A: false
    default: true
    }
  }

  /// The levels above, top first: `a`, `a/b` for `a/b/c`.
  static func parents(of name: String) -> [String] {
    var parents: [String] = []
    var path = ""
    for level in name.split(separator: "/").dropLast() {
      path += path.isEmpty ? String(level) : "/\(level)"
      parents.append(path)
    }
    return parents
  }
}
