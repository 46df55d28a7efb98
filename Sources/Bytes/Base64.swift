/// Base 64 (RFC 4648, 4; RFC 2045, 6.8): strict for protocols, forgiving and streaming for message bodies.
public enum Base64 {
  static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The six bits of each byte; 64 for bytes that are not of the alphabet.
  static let values: [UInt8] = {
    var table = [UInt8](repeating: 64, count: 256)
    for (value, byte) in alphabet.enumerated() { table[Int(byte)] = UInt8(value) }
    return table
  }()

  /// `bytes` in base 64 with padding, on one line.
  public static func encode(_ bytes: [UInt8]) -> [UInt8] {
    var encoder = Base64Encoder(lineLength: nil)
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count / 3 * 4 + 4)
    encoder.encode(bytes[...], into: &output)
    encoder.finish(into: &output)
    return output
  }

  /// What `text` says; nil unless it is whole quanta of the alphabet with the right padding and no stray bits
  /// (RFC 4648, 3.2, 3.3 and 3.5).
  public static func decodeStrict(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    let padding = text.suffix(2).reversed().prefix { $0 == 0x3D }.count
    var output: [UInt8] = []
    output.reserveCapacity(text.count / 4 * 3)
    var bits: UInt32 = 0
    var count = 0
    for byte in text.dropLast(padding) {
      let value = values[Int(byte)]
      guard value < 64 else { return nil }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    guard bits & (1 << UInt32(count) - 1) == 0 else { return nil }
    return output
  }
}

/// Encodes a stream in base 64, with CRLF behind each line if lines are asked for.
public struct Base64Encoder: Sendable {
  private let lineLength: Int?
  private var bits: UInt32 = 0
  private var held = 0
  private var column = 0

  /// `lineLength` characters a line, a multiple of 4 (76 at most, RFC 2045, 6.8); nil for one line without an end.
  public init(lineLength: Int?) { self.lineLength = lineLength.map { max($0 / 4 * 4, 4) } }

  public mutating func encode(_ bytes: ArraySlice<UInt8>, into output: inout [UInt8]) {
    for byte in bytes {
      bits = bits << 8 | UInt32(byte)
      held += 1
      if held == 3 { emit(4, into: &output) }
    }
  }

  /// Writes what is held back, with padding, and the end of the last line.
  public mutating func finish(into output: inout [UInt8]) {
    if held > 0 {
      let characters = held + 1
      bits <<= UInt32(8 * (3 - held))
      emit(characters, into: &output)
    }
    if lineLength != nil, column > 0 { output += [0x0D, 0x0A] }
    column = 0
  }

  private mutating func emit(_ characters: Int, into output: inout [UInt8]) {
    for position in 0..<4 {
      let value = Int(truncatingIfNeeded: bits >> UInt32(18 - 6 * position)) & 63
      output.append(position < characters ? Base64.alphabet[value] : 0x3D)
    }
    bits = 0
    held = 0
    guard let lineLength else { return }
    column += 4
    if column >= lineLength {
      output += [0x0D, 0x0A]
      column = 0
    }
  }
}

/// Decodes a stream of base 64 as mail has it: what is not of the alphabet is passed over (RFC 2045, 6.8), padding starts a new
/// quantum, an unfinished one gives its whole bytes. Never fails.
public struct Base64Decoder: Sendable {
  private var bits: UInt32 = 0
  private var count = 0
  /// Bytes that are not of the alphabet, padding or white space.
  public private(set) var strayBytes = 0

  public init() {}

  public mutating func decode(_ text: ArraySlice<UInt8>, into output: inout [UInt8]) {
    for byte in text {
      let value = Base64.values[Int(byte)]
      guard value < 64 else {
        if byte == 0x3D {
          bits = 0
          count = 0
        } else if !byte.isASCIIBlank, byte != 0x0D, byte != 0x0A {
          strayBytes = strayBytes.addedClamped(1)
        }
        continue
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
  }
}
