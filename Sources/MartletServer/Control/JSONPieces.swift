import Foundation

/// An array as JSON, made in pieces: together they are what `sayJSON` says of all elements at once.
///
/// A command that fails midway leaves it without its end, so that nothing takes it for whole.
struct JSONPieces {
  private var isBegun = false

  /// The piece for further elements.
  mutating func adding(_ elements: [some Encodable]) throws(AdminFailure) -> [UInt8] {
    var piece: [UInt8] = []
    for element in elements {
      piece += isBegun ? [UInt8(ascii: ","), 0x0A] : [UInt8(ascii: "["), 0x0A]
      isBegun = true
      piece += [0x20, 0x20]
      // Line ends within strings are escaped: every one that stands there is of the layout.
      for byte in try Self.encoded(element) {
        piece.append(byte)
        if byte == 0x0A { piece += [0x20, 0x20] }
      }
    }
    return piece
  }

  /// The last piece.
  func ending() -> [UInt8] { Array((isBegun ? "\n]\n" : "[\n\n]\n").utf8) }

  /// A value: keys sorted, indented.
  static func encoded(_ value: some Encodable) throws(AdminFailure) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { throw AdminFailure("the answer can't be written as JSON") }
    return Array(data)
  }
}
