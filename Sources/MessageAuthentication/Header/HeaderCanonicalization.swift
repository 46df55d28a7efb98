import Bytes

extension HeaderFields {
  /// The canonical form of a field, with its line end, behind `output`.
  func canonicalize(_ index: Int, _ canonicalization: Canonicalization, into output: inout [UInt8]) {
    guard fields.indices.contains(index) else { return }
    let field = fields[index]
    canonicalization.append(bytes[field.range], valueAt: field.valueStart, nameEnd: field.nameEnd, to: &output)
  }
}

extension Canonicalization {
  /// `field` in its canonical form (RFC 6376, 3.4.1 and 3.4.2), with CRLF, behind `output`. Indices are those of the slice.
  func append(_ field: ArraySlice<UInt8>, valueAt valueStart: Int, nameEnd: Int, to output: inout [UInt8]) {
    switch self {
    case .simple:
      output += field
      if field.last != 0x0A { output += [0x0D, 0x0A] }
    case .relaxed:
      output += field[field.startIndex..<nameEnd].lazy.map(\.asciiLowercased)
      output.append(0x3A)
      Self.appendRelaxed(field[valueStart...], to: &output)
      output += [0x0D, 0x0A]
    }
  }

  /// A value unfolded, its blanks one each, none at its ends.
  private static func appendRelaxed(_ value: ArraySlice<UInt8>, to output: inout [UInt8]) {
    var isBlankHeld = false
    var isFirst = true
    var index = value.startIndex
    while index < value.endIndex {
      let byte = value[index]
      let isLineEnd = byte == 0x0A || (byte == 0x0D && index + 1 < value.endIndex && value[index + 1] == 0x0A)
      index += 1
      if isLineEnd { continue }
      if byte.isASCIIBlank {
        isBlankHeld = true
        continue
      }
      if isBlankHeld, !isFirst { output.append(0x20) }
      isBlankHeld = false
      isFirst = false
      output.append(byte)
    }
  }
}
