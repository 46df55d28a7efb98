import Bytes

/// Writes a field folded at 78 columns (RFC 5322, 2.1.1), where folding is allowed between its tokens.
struct SignatureField {
  private static let columns = 78

  private(set) var bytes: [UInt8]
  private var column: Int

  init(name: String) {
    bytes = Array(name.utf8) + [0x3A]
    column = bytes.count
  }

  /// Adds a token that stays whole, behind a blank or on a new line.
  mutating func add(_ token: String) {
    let token = Array(token.utf8)
    if column + 1 + token.count > Self.columns { fold() } else if !isOnNewLine { append([0x20]) }
    append(token)
  }

  /// Adds pieces of a value right behind what is there, or on a new line.
  mutating func `continue`(_ piece: some Collection<UInt8>) {
    if column + piece.count > Self.columns { fold() }
    append(piece)
  }

  /// Adds text that may be cut anywhere.
  mutating func fill(_ text: [UInt8]) {
    var rest = text[...]
    while !rest.isEmpty {
      if column >= Self.columns { fold() }
      let part = rest.prefix(max(Self.columns - column, 1))
      append(part)
      rest = rest.dropFirst(part.count)
    }
  }

  private var isOnNewLine: Bool { column == 1 && bytes.last == 0x20 }

  private mutating func fold() {
    guard !isOnNewLine else { return }
    bytes += [0x0D, 0x0A, 0x20]
    column = 1
  }

  private mutating func append(_ text: some Collection<UInt8>) {
    bytes += text
    column += text.count
  }
}
