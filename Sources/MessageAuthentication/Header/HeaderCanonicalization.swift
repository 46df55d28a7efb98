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

  /// A value unfolded, its blanks one each, none at its ends. In runs: a header of 1 MiB may be asked for by each signature.
  private static func appendRelaxed(_ value: ArraySlice<UInt8>, to output: inout [UInt8]) {
    let start = output.count
    var isBlankHeld = false
    value.withUnsafeBytes { value in
      var index = 0
      while index < value.count {
        let byte = value[index]
        if byte.isASCIIBlank {
          isBlankHeld = true
          index += 1
        } else if byte == 0x0A || (byte == 0x0D && index + 1 < value.count && value[index + 1] == 0x0A) {
          index += 1
        } else {
          if isBlankHeld, output.count > start { output.append(0x20) }
          isBlankHeld = false
          let end = runEnd(value, from: index)
          output += value[index..<end]
          index = end
        }
      }
    }
  }

  /// The end of a run that stays as it is: single blanks are in it if something follows them.
  private static func runEnd(_ value: UnsafeRawBufferPointer, from start: Int) -> Int {
    var index = start + 1
    while index < value.count {
      let byte = value[index]
      if byte > 0x20 {
        index += 1
      } else if byte == 0x20, index + 1 < value.count, value[index + 1] > 0x20 {
        index += 2
      } else if byte.isASCIIBlank || byte == 0x0D || byte == 0x0A {
        return index
      } else {
        index += 1
      }
    }
    return index
  }
}
