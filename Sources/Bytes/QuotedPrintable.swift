/// Decodes a stream of quoted-printable (RFC 2045, 6.7). What breaks the rules is kept as it is; never fails.
public struct QuotedPrintableDecoder: Sendable {
  private enum State: Hashable {
    case text
    /// Behind `=`.
    case equals
    /// Behind `=` and blanks: a soft break with blanks before its end, or nothing of the kind.
    case equalsBlank
    /// Behind `=` and one hexadecimal digit.
    case digit(UInt8)
    /// Behind `=` and CR.
    case softReturn
  }

  private var state = State.text
  /// Blanks at what may be the end of a line, where they are to be dropped (RFC 2045, 6.7, rule 3).
  private var blanks: [UInt8] = []
  /// Octets that no encoder writes.
  public private(set) var strayBytes = 0

  public init() {}

  public mutating func decode(_ text: ArraySlice<UInt8>, into output: inout [UInt8]) {
    for byte in text {
      switch state {
      case .text: takeText(byte, into: &output)
      case .equals:
        if byte.isASCIIHexDigit {
          state = .digit(byte)
        } else if byte == 0x0D {
          state = .softReturn
        } else if byte == 0x0A {
          state = .text
        } else if byte.isASCIIBlank {
          state = .equalsBlank
        } else {
          keep([0x3D], then: byte, into: &output)
        }
      case .equalsBlank:
        if byte == 0x0D {
          state = .softReturn
        } else if byte == 0x0A {
          state = .text
        } else if !byte.isASCIIBlank {
          keep([0x3D, 0x20], then: byte, into: &output)
        }
      case .digit(let high):
        if byte.isASCIIHexDigit {
          output.append(high.hexDigitValue << 4 | byte.hexDigitValue)
          state = .text
        } else {
          keep([0x3D, high], then: byte, into: &output)
        }
      case .softReturn:
        state = .text
        if byte != 0x0A { takeText(byte, into: &output) }
      }
    }
  }

  /// The end: gives what was held back.
  public mutating func finish(into output: inout [UInt8]) {
    if case .digit(let high) = state { output += [0x3D, high] }
    state = .text
    blanks = []
  }

  private mutating func keep(_ held: [UInt8], then byte: UInt8, into output: inout [UInt8]) {
    strayBytes = strayBytes.addedClamped(1)
    output += held
    state = .text
    takeText(byte, into: &output)
  }

  private mutating func takeText(_ byte: UInt8, into output: inout [UInt8]) {
    if byte.isASCIIBlank {
      // More blanks than a line may hold are no line's end: let them through rather than hold them.
      if blanks.count >= 1_024 { flushBlanks(into: &output) }
      blanks.append(byte)
      return
    }
    if byte == 0x0D || byte == 0x0A { blanks.removeAll(keepingCapacity: true) } else { flushBlanks(into: &output) }
    if byte == 0x3D { state = .equals } else { output.append(byte) }
  }

  private mutating func flushBlanks(into output: inout [UInt8]) {
    guard !blanks.isEmpty else { return }
    output += blanks
    blanks.removeAll(keepingCapacity: true)
  }
}

/// Encodes a stream in quoted-printable: lines of at most 76 characters, CRLF kept as line ends, everything else that is not
/// plain ASCII as `=XX`. A CR or LF alone is data and encoded.
public struct QuotedPrintableEncoder: Sendable {
  private static let digits = Array("0123456789ABCDEF".utf8)
  private var column = 0
  /// A blank that may stand before a line's end, or a CR that may be one; written when the next byte is known.
  private var held: UInt8?

  public init() {}

  public mutating func encode(_ bytes: ArraySlice<UInt8>, into output: inout [UInt8]) {
    for byte in bytes {
      if let before = held {
        held = nil
        if before == 0x0D, byte == 0x0A {
          output += [0x0D, 0x0A]
          column = 0
          continue
        }
        if before == 0x0D {
          escape(before, into: &output)
        } else if byte == 0x0D {
          escape(before, into: &output)
        } else {
          plain(before, into: &output)
        }
      }
      if byte.isASCIIBlank || byte == 0x0D {
        held = byte
      } else if byte.isASCIIVisible, byte != 0x3D {
        // `From ` and a lone dot at a line's start are changed by some relays.
        if column == 0, byte == 0x46 || byte == 0x2E { escape(byte, into: &output) } else { plain(byte, into: &output) }
      } else {
        escape(byte, into: &output)
      }
    }
  }

  /// The end: what was held back, encoded so that nothing is lost at the end of the text.
  public mutating func finish(into output: inout [UInt8]) {
    if let before = held { escape(before, into: &output) }
    held = nil
  }

  private mutating func plain(_ byte: UInt8, into output: inout [UInt8]) {
    makeRoom(1, into: &output)
    output.append(byte)
    column += 1
  }

  private mutating func escape(_ byte: UInt8, into output: inout [UInt8]) {
    makeRoom(3, into: &output)
    output += [0x3D, Self.digits[Int(byte >> 4)], Self.digits[Int(byte & 15)]]
    column += 3
  }

  private mutating func makeRoom(_ count: Int, into output: inout [UInt8]) {
    guard column + count > 75 else { return }
    output += [0x3D, 0x0D, 0x0A]
    column = 0
  }
}
