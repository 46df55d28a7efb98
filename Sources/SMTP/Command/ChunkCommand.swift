import Bytes

/// `BDAT SP octets [SP LAST]` (RFC 3030, 2).
enum ChunkCommand {
  /// A size that can't be read, or is beyond 64 bits, leaves the end of the chunk unknown (HOSTILE 3): `badChunk`.
  static func parse(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> SMTPCommand {
    guard let octets = cursor.takeDecimal() else { throw .badChunk }
    let hasBlank = cursor.peek?.isASCIIBlank == true
    cursor.skipWhitespace()
    if cursor.isAtEnd { return .bdat(octets: octets, isLast: false) }
    guard hasBlank, cursor.take(ignoringCase: "LAST") else { throw .badChunk }
    cursor.skipWhitespace()
    guard cursor.isAtEnd else { throw .badChunk }
    return .bdat(octets: octets, isLast: true)
  }
}
