import Bytes

/// Why a signature or a key record can't be read.
public struct DKIMSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where, in octets from the start of the text; nil if something is missing.
  public var position: Int?
  /// What is wrong, in a few words; never anything from the message.
  public var reason: String

  init(_ reason: String, at position: Int? = nil) {
    self.position = position
    self.reason = reason
  }

  public var description: String { position.map { "\(reason) at octet \($0)" } ?? reason }
}

/// The form that signatures and key records share: `name=value; name=value` (RFC 6376, 3.2).
struct TagList: Sendable {
  struct Tag: Hashable, Sendable {
    var name: [UInt8]
    /// Blanks and line ends around it left out.
    var value: Range<Int>
    /// From behind the `=` to the semicolon or the end, line end of the field included.
    var place: Range<Int>
  }

  private let bytes: [UInt8]
  private(set) var tags: [Tag] = []

  /// Reads `bytes[range]`, clamped. Throws if it breaks the grammar, has a tag twice, or more of them than `limit`.
  init(_ bytes: [UInt8], in range: Range<Int>, limit: Int) throws(DKIMSyntaxError) {
    self.bytes = bytes
    var cursor = ByteCursor(bytes, in: range)
    var seen: Set<[UInt8]> = []
    while true {
      Self.skipBlanks(&cursor)
      // One semicolon may end the list; an empty list is no list, which the missing tags tell.
      if cursor.isAtEnd { return }
      let start = cursor.position
      let name = cursor.take { $0.isASCIIAlphanumeric || $0 == 0x5F }
      guard name.first?.isASCIILetter == true else { throw DKIMSyntaxError("no tag name", at: start) }
      Self.skipBlanks(&cursor)
      guard cursor.take(0x3D) else { throw DKIMSyntaxError("no = behind a tag name", at: cursor.position) }
      let place = cursor.takeRange { $0 != 0x3B }
      try check(place)
      guard seen.insert(name).inserted else { throw DKIMSyntaxError("a tag stands twice", at: start) }
      guard tags.count < limit else { throw DKIMSyntaxError("more than \(limit) tags", at: start) }
      tags.append(Tag(name: name, value: trimmed(place), place: place))
      if !cursor.take(0x3B) { return }
    }
  }

  private static func skipBlanks(_ cursor: inout ByteCursor) { _ = cursor.takeRange(while: isFoldingBlank) }

  static func isFoldingBlank(_ byte: UInt8) -> Bool { byte.isASCIIBlank || byte == 0x0D || byte == 0x0A }

  /// A value is visible ASCII, blanks, and what RFC 8616, 4 adds: anything beyond ASCII, which its reader judges.
  private func check(_ range: Range<Int>) throws(DKIMSyntaxError) {
    if let wrong = bytes[range].firstIndex(where: { $0.isASCIIControl && !Self.isFoldingBlank($0) }) {
      throw DKIMSyntaxError("a control character", at: wrong)
    }
  }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    var (lower, upper) = (range.lowerBound, range.upperBound)
    while lower < upper, Self.isFoldingBlank(bytes[lower]) { lower += 1 }
    while lower < upper, Self.isFoldingBlank(bytes[upper - 1]) { upper -= 1 }
    return lower..<upper
  }

  func tag(_ name: StaticString) -> Tag? {
    // Names are told apart by case (RFC 6376, 3.2).
    tags.first { tag in name.withUTF8Buffer { tag.name.elementsEqual($0) } }
  }

  /// The value of a tag; nil if it is not there.
  subscript(name: StaticString) -> ArraySlice<UInt8>? { tag(name).map { bytes[$0.value] } }

  /// A value in which blanks and line ends mean nothing, without them.
  func compact(_ name: StaticString) -> [UInt8]? { self[name]?.filter { !Self.isFoldingBlank($0) } }

  /// The items of a value that colons part, blanks around each left out.
  func items(_ name: StaticString) -> [ArraySlice<UInt8>]? {
    self[name]?.split(separator: 0x3A, omittingEmptySubsequences: false).map { item in
      let start = item.firstIndex { !Self.isFoldingBlank($0) } ?? item.endIndex
      let end = item.lastIndex { !Self.isFoldingBlank($0) }.map { $0 + 1 } ?? start
      return item[start..<end]
    }
  }
}
