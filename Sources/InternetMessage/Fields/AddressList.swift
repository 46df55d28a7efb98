import Bytes

/// An address list with its groups (RFC 5322, 3.4; RFC 6854), as a flat row of items: what `From`, `To` and their like hold.
///
/// Reading is total, linear and forgiving: every input gives a list. Display names and local parts stay as they were written
/// (quotes resolved, encoded words not), so that nothing decoded is ever taken for syntax.
public struct AddressList: Hashable, Sendable {
  public struct Item: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable {
      case mailbox
      /// `name` is the group's.
      case groupStart
      case groupEnd
    }

    public var kind: Kind
    /// The display name, or the comment behind an address that has none.
    public var name: [UInt8] = []
    /// A source route (RFC 5322, 4.4 `obs-route`), `@a,@b`.
    public var route: [UInt8] = []
    public var localPart: [UInt8] = []
    /// Empty if there is none: not an address then.
    public var domain: [UInt8] = []
  }

  public var items: [Item] = []
  /// There were more than the limit.
  public var isTruncated = false

  /// Items that are mailboxes.
  public var mailboxes: [Item] { items.filter { $0.kind == .mailbox } }

  /// Reads an unfolded field value, at most `limit` items.
  public init(parsing value: [UInt8], limit: Int = 1_000) {
    var reader = AddressListReader(value, limit: limit)
    reader.read()
    items = reader.items
    isTruncated = reader.isTruncated
  }
}

/// The walk over an address list: one pass, one cursor, no recursion.
struct AddressListReader {
  private var cursor: ByteCursor
  private let limit: Int
  private(set) var items: [AddressList.Item] = []
  private(set) var isTruncated = false
  private var isInGroup = false

  /// Words so far with one blank between: a display name, if `<` or `:` follows.
  private var phrase: [UInt8] = []
  /// The same words without blanks: a local part, if `@` follows.
  private var compact: [UInt8] = []
  private var needsBlank = false
  private var comment: [UInt8] = []
  private var item = AddressList.Item(kind: .mailbox)
  /// An address is complete; what follows before a comma is not of it.
  private var hasAddress = false

  init(_ value: [UInt8], limit: Int) {
    self.cursor = ByteCursor(value)
    self.limit = limit
  }

  mutating func read() {
    while let byte = cursor.peek, !isTruncated {
      switch byte {
      case 0x20, 0x09, 0x0D, 0x0A:
        cursor.skip(1)
        needsBlank = true
      case 0x28:
        comment = takeComment()
        needsBlank = true
      case 0x2C:
        cursor.skip(1)
        endItem()
      case 0x3C: takeAngle()
      case 0x40: takeDomain()
      case 0x3A:
        cursor.skip(1)
        startGroup()
      case 0x3B:
        cursor.skip(1)
        endItem()
        endGroup()
      case 0x22: takeQuoted()
      default: takeWord()
      }
    }
    endItem()
    endGroup()
  }

  @discardableResult
  private mutating func add(_ item: AddressList.Item) -> Bool {
    guard items.count < limit else {
      isTruncated = true
      return false
    }
    items.append(item)
    return true
  }

  private mutating func endItem() {
    if !hasAddress, !compact.isEmpty {
      // A word alone: a local part without a domain.
      item.localPart = compact
      hasAddress = true
    }
    if hasAddress {
      if item.name.isEmpty { item.name = comment }
      add(item)
    }
    item = AddressList.Item(kind: .mailbox)
    hasAddress = false
    phrase = []
    compact = []
    comment = []
    needsBlank = false
  }

  private mutating func startGroup() {
    // A group in a group is none (RFC 5322, 3.4): its name is passed over.
    if !isInGroup, !hasAddress, !phrase.isEmpty {
      var group = AddressList.Item(kind: .groupStart)
      group.name = phrase
      // One that no longer fits must not be ended either.
      isInGroup = add(group)
    }
    phrase = []
    compact = []
    comment = []
    needsBlank = false
  }

  private mutating func endGroup() {
    // Also beyond the limit: a list never ends inside a group.
    if isInGroup { items.append(AddressList.Item(kind: .groupEnd)) }
    isInGroup = false
  }

  private mutating func startWord() {
    if needsBlank, !phrase.isEmpty { phrase.append(0x20) }
    needsBlank = false
  }

  private mutating func takeWord() {
    startWord()
    let range = cursor.takeRange { byte in
      switch byte {
      case 0x20, 0x09, 0x0D, 0x0A, 0x28, 0x2C, 0x3C, 0x40, 0x3A, 0x3B, 0x22: false
      default: true
      }
    }
    phrase += cursor[range]
    compact += cursor[range]
  }

  private mutating func takeQuoted() {
    startWord()
    cursor.skip(1)
    while let byte = cursor.next(), byte != 0x22 {
      guard let taken = byte == 0x5C ? cursor.next() : byte else { break }
      phrase.append(taken)
      compact.append(taken)
    }
  }

  /// A comment, without its outer parentheses; comments in comments are counted, not entered (RFC 5322, 3.2.2).
  private mutating func takeComment() -> [UInt8] {
    cursor.skip(1)
    var text: [UInt8] = []
    var depth = 1
    while let byte = cursor.next() {
      if byte == 0x5C {
        if let quoted = cursor.next() { text.append(quoted) }
        continue
      }
      if byte == 0x28 { depth += 1 }
      if byte == 0x29 {
        depth -= 1
        if depth == 0 { break }
      }
      text.append(byte)
    }
    return text
  }

  /// `@domain` behind a local part, outside of angle brackets.
  private mutating func takeDomain() {
    cursor.skip(1)
    let domain = readDomain { $0 == 0x2C || $0 == 0x3B || $0 == 0x3C || $0 == 0x3A }
    guard !hasAddress else { return }
    item.localPart = compact
    item.domain = domain
    hasAddress = true
    phrase = []
    compact = []
  }

  /// `<...>` behind a display name (RFC 5322, 3.4 `angle-addr`).
  private mutating func takeAngle() {
    cursor.skip(1)
    var angle = AddressList.Item(kind: .mailbox)
    angle.name = hasAddress ? [] : phrase
    while let byte = cursor.peek, byte.isASCIIBlank || byte == 0x0D || byte == 0x0A { cursor.skip(1) }
    if cursor.peek == 0x40 {
      angle.route = cursor.take { $0 != 0x3A && $0 != 0x3E }.filter { !$0.isASCIIBlank }
      _ = cursor.take(0x3A)
    }
    while let byte = cursor.peek, byte != 0x3E {
      switch byte {
      case 0x40:
        cursor.skip(1)
        let domain = readDomain { $0 == 0x3E }
        if angle.domain.isEmpty { angle.domain = domain }
      case 0x28: _ = takeComment()
      case 0x20, 0x09, 0x0D, 0x0A: cursor.skip(1)
      case 0x22:
        cursor.skip(1)
        while let quoted = cursor.next(), quoted != 0x22 {
          guard let taken = quoted == 0x5C ? cursor.next() : quoted else { break }
          angle.localPart.append(taken)
        }
      default:
        cursor.skip(1)
        angle.localPart.append(byte)
      }
    }
    _ = cursor.take(0x3E)
    guard !hasAddress else { return }
    // `<>` says nobody; as people write it, it is no address.
    hasAddress = !(angle.localPart.isEmpty && angle.domain.isEmpty)
    if hasAddress { item = angle }
    phrase = []
    compact = []
  }

  /// A domain or a literal, white space and comments taken out, up to where `ends` says.
  private mutating func readDomain(ends: (UInt8) -> Bool) -> [UInt8] {
    var domain: [UInt8] = []
    while let byte = cursor.peek, !ends(byte) {
      switch byte {
      case 0x20, 0x09, 0x0D, 0x0A:
        cursor.skip(1)
        // A blank ends it unless a dot stands on one of its sides (obs-domain).
        if let next = cursor.peek, !domain.isEmpty, domain.last != 0x2E, next != 0x2E, !next.isASCIIBlank, next != 0x28, !ends(next)
        {
          return domain
        }
      case 0x28:
        let text = takeComment()
        if comment.isEmpty { comment = text }
      case 0x5B:
        let start = cursor.position
        _ = cursor.takeRange { $0 != 0x5D && $0 != 0x3E }
        _ = cursor.take(0x5D)
        domain += cursor[start..<cursor.position]
      default:
        cursor.skip(1)
        domain.append(byte)
      }
    }
    return domain
  }
}

extension AddressList.Item {
  /// The address, if it is one that mail can be sent to.
  public var address: EmailAddress? {
    guard kind == .mailbox, !domain.isEmpty else { return nil }
    let text = EmailAddress(localPart: String(decoding: localPart, as: UTF8.self), domain: String(decoding: domain, as: UTF8.self))
    return try? AddressParser(allowsUTF8: true).mailbox(text.wire)
  }
}
