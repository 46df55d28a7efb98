import Bytes

/// A field value with parameters (RFC 2045, 5.1; RFC 2183, 2; RFC 2231): `Content-Type`, `Content-Disposition`.
///
/// Total and linear; the first of a repeated parameter counts.
public struct ParameterizedValue: Hashable, Sendable {
  /// Most parameters that are kept.
  public static let limit = 100
  /// Most sections of one continued parameter (RFC 2231, 3).
  static let sectionLimit = 100

  public struct Parameter: Hashable, Sendable {
    /// In lower case, without the marks of RFC 2231.
    public var name: [UInt8]
    /// Quotes and continuations resolved; with an extended value, the percent signs too, in `charset`.
    public var value: [UInt8]
    /// The character set of an extended value (RFC 2231, 4); nil for a plain one.
    public var charset: [UInt8]?
  }

  /// What stands before the first `;`, blanks and comments taken out: `text/plain`, `attachment`. As written.
  public var value: [UInt8] = []
  public var parameters: [Parameter] = []
  /// A name was given twice, or both plain and extended.
  public var hasRepeatedParameter = false

  /// The value of the first parameter of this name (lower case), as bytes.
  public subscript(name: StaticString) -> [UInt8]? {
    parameters.first { $0.name.equals(ignoringCase: name) }?.value
  }

  /// The same as text for people: its character set resolved, encoded words (which some write there) too.
  public func text(of name: StaticString) -> String? {
    guard let found = parameters.first(where: { $0.name.equals(ignoringCase: name) }) else { return nil }
    if let charset = found.charset { return Charset(charset).decode(found.value) }
    return EncodedWord.decode(found.value)
  }

  /// Reads an unfolded field value.
  public init(parsing bytes: [UInt8]) {
    var cursor = ByteCursor(bytes)
    value = Self.takeValue(&cursor)
    var sections: [Section] = []
    while cursor.take(0x3B), sections.count < Self.limit + Self.sectionLimit {
      if let section = Self.takeSection(&cursor) { sections.append(section) }
      // Whatever else stands there is passed over to the next `;`.
      Self.skipToSemicolon(&cursor)
    }
    assemble(sections)
  }

  /// One `name*number*=value` (RFC 2231, 7).
  private struct Section {
    var name: [UInt8]
    var number: Int?
    var isExtended: Bool
    var value: [UInt8]
  }

  private static func takeValue(_ cursor: inout ByteCursor) -> [UInt8] {
    var value: [UInt8] = []
    while let byte = cursor.peek, byte != 0x3B {
      if byte == 0x28 {
        skipComment(&cursor)
      } else {
        cursor.skip(1)
        if !byte.isASCIIBlank, byte != 0x0D, byte != 0x0A { value.append(byte) }
      }
    }
    return value
  }

  private static func takeSection(_ cursor: inout ByteCursor) -> Section? {
    skipBlanks(&cursor)
    let name = cursor.take { $0.isASCIIVisible && $0 != 0x3D && $0 != 0x3B && $0 != 0x2A && $0 != 0x28 && $0 != 0x22 }
    guard !name.isEmpty else { return nil }
    var number: Int?
    var isExtended = false
    if cursor.take(0x2A) {
      if let digits = cursor.takeDecimal(digits: 3, maximum: UInt64(Self.sectionLimit)) {
        number = Int(truncatingIfNeeded: digits)
        isExtended = cursor.take(0x2A)
      } else {
        isExtended = true
      }
    }
    skipBlanks(&cursor)
    guard cursor.take(0x3D) else { return nil }
    skipBlanks(&cursor)
    return Section(name: name.map(\.asciiLowercased), number: number, isExtended: isExtended, value: takeParameterValue(&cursor))
  }

  private static func takeParameterValue(_ cursor: inout ByteCursor) -> [UInt8] {
    guard cursor.take(0x22) else {
      // A token; blanks inside are let through as many write file names, blanks at the end are not.
      var value = cursor.take { $0 != 0x3B && $0 != 0x28 && $0 != 0x0D && $0 != 0x0A }
      while let last = value.last, last.isASCIIBlank { value.removeLast() }
      return value
    }
    var value: [UInt8] = []
    while let byte = cursor.next(), byte != 0x22 {
      guard let taken = byte == 0x5C ? cursor.next() : byte else { break }
      value.append(taken)
    }
    return value
  }

  private static func skipBlanks(_ cursor: inout ByteCursor) {
    while let byte = cursor.peek {
      if byte == 0x28 {
        skipComment(&cursor)
      } else if byte.isASCIIBlank || byte == 0x0D || byte == 0x0A {
        cursor.skip(1)
      } else {
        return
      }
    }
  }

  private static func skipComment(_ cursor: inout ByteCursor) {
    var depth = 0
    while let byte = cursor.next() {
      if byte == 0x5C { cursor.skip(1) }
      if byte == 0x28 { depth += 1 }
      if byte == 0x29 { depth -= 1 }
      if depth <= 0 { return }
    }
  }

  private static func skipToSemicolon(_ cursor: inout ByteCursor) {
    while let byte = cursor.peek, byte != 0x3B {
      if byte == 0x22 {
        _ = takeParameterValue(&cursor)
      } else if byte == 0x28 {
        skipComment(&cursor)
      } else {
        cursor.skip(1)
      }
    }
  }

  /// Joins continuations in the order of their numbers, each name once, names in the order they came first.
  private mutating func assemble(_ sections: [Section]) {
    var rows: [[UInt8]: Int] = [:]
    var found: [(plain: [UInt8]?, extended: Section?, parts: [Int: Section])] = []
    var names: [[UInt8]] = []
    for section in sections {
      let row: Int
      if let known = rows[section.name] {
        row = known
      } else {
        guard names.count < Self.limit else { continue }
        row = names.count
        rows[section.name] = row
        names.append(section.name)
        found.append((nil, nil, [:]))
      }
      if let number = section.number {
        if found[row].parts[number] == nil { found[row].parts[number] = section } else { hasRepeatedParameter = true }
      } else if section.isExtended {
        if found[row].extended == nil { found[row].extended = section } else { hasRepeatedParameter = true }
      } else if found[row].plain == nil {
        found[row].plain = section.value
      } else {
        hasRepeatedParameter = true
      }
    }
    for (row, name) in names.enumerated() {
      let (plain, extended, parts) = found[row]
      if (plain == nil ? 0 : 1) + (extended == nil ? 0 : 1) + (parts[0] == nil ? 0 : 1) > 1 { hasRepeatedParameter = true }
      if let extended {
        let (charset, text) = Self.splitCharset(extended.value)
        parameters.append(Parameter(name: name, value: Self.percentDecoded(text), charset: charset))
      } else if let first = parts[0] {
        parameters.append(Self.joined(name, first: first, parts))
      } else if let plain {
        parameters.append(Parameter(name: name, value: plain, charset: nil))
      }
    }
  }

  private static func joined(_ name: [UInt8], first: Section, _ parts: [Int: Section]) -> Parameter {
    var value: [UInt8] = []
    var charset: [UInt8]?
    if first.isExtended {
      let (found, text) = splitCharset(first.value)
      charset = found
      value = percentDecoded(text)
    } else {
      value = first.value
    }
    var number = 1
    while let part = parts[number] {
      value += part.isExtended ? percentDecoded(part.value[...]) : part.value
      number += 1
    }
    return Parameter(name: name, value: value, charset: charset)
  }

  /// `charset'language'text` (RFC 2231, 4).
  private static func splitCharset(_ value: [UInt8]) -> ([UInt8], ArraySlice<UInt8>) {
    let pieces = value.split(separator: 0x27, maxSplits: 2, omittingEmptySubsequences: false)
    guard pieces.count == 3, let charset = pieces.first, let text = pieces.last else { return ([], value[...]) }
    return (Array(charset), text)
  }

  private static func percentDecoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var cursor = ByteCursor(Array(text))
    var result: [UInt8] = []
    while let byte = cursor.next() {
      if byte == 0x25, let high = cursor.peek, high.isASCIIHexDigit, let low = cursor.peek(at: 1), low.isASCIIHexDigit {
        cursor.skip(2)
        result.append(high.hexDigitValue << 4 | low.hexDigitValue)
      } else {
        result.append(byte)
      }
    }
    return result
  }
}

/// `Content-Type` (RFC 2045, 5): type and subtype in lower case, and parameters.
public struct ContentType: Hashable, Sendable {
  public var type: String
  public var subtype: String
  public var parameters: ParameterizedValue

  /// Reads an unfolded field value; nil if it isn't two tokens with a slash between.
  public init?(parsing value: [UInt8]) {
    let parameters = ParameterizedValue(parsing: value)
    let pieces = parameters.value.split(separator: 0x2F, maxSplits: 1, omittingEmptySubsequences: false)
    guard pieces.count == 2, let first = pieces.first, let second = pieces.last, Self.isToken(first), Self.isToken(second) else {
      return nil
    }
    self.type = String(decoding: first, as: UTF8.self).asciiLowercased
    self.subtype = String(decoding: second, as: UTF8.self).asciiLowercased
    self.parameters = parameters
  }

  /// Whether it is a `token` (RFC 2045, 5.1) of at most 100 octets.
  static func isToken(_ bytes: ArraySlice<UInt8>) -> Bool {
    !bytes.isEmpty && bytes.count <= 100
      && bytes.allSatisfy { byte in
        switch byte {
        // ( ) < > @ , ; : \ " / [ ] ? =
        case 0x28, 0x29, 0x3C, 0x3E, 0x40, 0x2C, 0x3B, 0x3A, 0x5C, 0x22, 0x2F, 0x5B, 0x5D, 0x3F, 0x3D: false
        default: byte.isASCIIVisible
        }
      }
  }
}
