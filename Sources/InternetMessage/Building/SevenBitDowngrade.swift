import Bytes

/// Makes a message of 8-bit or binary parts fit for a host without 8BITMIME (RFC 6152, 3, option 1): each part that needs it is
/// written anew in quoted-printable or base 64, with its header told so. What a reader decodes stays the same, octet for octet.
///
/// Refused where that can't be done faithfully: then the message goes back to its sender instead (option 2). Octets beyond ASCII in
/// the message's own header stay: no encoding of a body reaches them. Linear; the part table is the observer's, so both see the same
/// message. The steps name ranges, so that a caller may work piece by piece.
///
/// The whole message is held in memory, and its result beside it: whoever calls bounds the size (`DeliveryLimits.convertedMessage`)
/// and how much of it there is at one time (`DeliveryLimits.conversionMemory`).
public struct SevenBitDowngrade: Sendable {
  /// Why it can't be done: 5.6.3.
  public enum Refusal: Error, Hashable, Sendable {
    /// The header breaks a budget, so that nothing is known of what follows it.
    case unreadableHeader
    /// A signature covers the octets as they are (RFC 1847, 2.1).
    case signed
    /// In a part that was not looked into: too deep, without a boundary, of a kind that must be 7-bit (RFC 2046, 5.2).
    case opaque
    /// Between the parts, where nothing can be encoded; or a line there that is too long.
    case outsideParts
    /// A part says that it is encoded already, and is not.
    case alreadyEncoded
  }

  public enum Step: Hashable, Sendable {
    /// These octets of the message as they are.
    case copy(Range<Int>)
    case insert([UInt8])
    case quotedPrintable(Range<Int>)
    case base64(Range<Int>)
  }

  /// In the order of the message.
  public private(set) var steps: [Step] = []
  private var copied = 0

  /// Plans for a whole message with CRLF line ends.
  public init(_ message: [UInt8]) throws(Refusal) {
    var observer = MessageObserver()
    message.withUnsafeBytes { observer.observe($0) }
    let observation = observer.finish()
    guard observation.problem == nil else { throw .unreadableHeader }
    let parts = observation.parts
    // From the last to the first: whether something inside a part is written anew.
    var needs = [Bool](repeating: false, count: parts.count)
    for (row, part) in parts.enumerated().reversed() {
      if part.kind == .text || part.kind == .leaf { needs[row] = Self.needsEncoding(message, part.bodyStart..<part.bodyEnd) }
      if needs[row], part.parent >= 0, part.parent < row { needs[part.parent] = true }
    }
    for (row, part) in parts.enumerated() where needs[row] {
      if part.type == "multipart", part.subtype == "signed" { throw .signed }
      // A header that is a message's own, not a part's.
      let isMessage = part.parent < 0 || (part.parent < row && parts[part.parent].kind == .message)
      switch part.kind {
      case .multipart, .message:
        rewriteHeader(message, part, encoding: part.encoding == .sevenBit ? nil : "7bit", isMessage: isMessage, text: nil)
      case .text, .leaf: try encode(message, part, isMessage: isMessage)
      }
    }
    copy(upTo: message.count)
    let header = observation.facts.hasNoHeader ? 0 : parts.first?.bodyStart ?? 0
    for step in steps {
      guard case .copy(let range) = step else { continue }
      let headerEnd = min(max(header, range.lowerBound), range.upperBound)
      guard !Self.needsEncoding(message, range.lowerBound..<headerEnd, takesEightBit: true),
        !Self.needsEncoding(message, headerEnd..<range.upperBound)
      else { throw .outsideParts }
    }
  }

  /// The message, fit for 7 bits.
  public static func convert(_ message: [UInt8]) throws(Refusal) -> [UInt8] {
    let plan = try SevenBitDowngrade(message)
    var output: [UInt8] = []
    output.reserveCapacity(message.count.addedClamped(message.count / 4))
    for step in plan.steps {
      switch step {
      case .copy(let range): output += message[range]
      case .insert(let bytes): output += bytes
      case .quotedPrintable(let range):
        var encoder = QuotedPrintableEncoder()
        encoder.encode(message[range], into: &output)
        encoder.finish(into: &output)
      case .base64(let range):
        var encoder = Base64Encoder(lineLength: 76)
        encoder.encode(message[range], into: &output)
        encoder.finish(into: &output)
      }
    }
    return output
  }

  /// Whether a 7-bit transport can't carry these octets: beyond ASCII, NUL, CR or LF alone, a line over 998 (RFC 5322, 2.1.1).
  private static func needsEncoding(_ message: [UInt8], _ range: Range<Int>, takesEightBit: Bool = false) -> Bool {
    var length = 0
    // A range may begin between CR and LF.
    var previous: UInt8 = range.lowerBound > 0 && message[range.lowerBound - 1] == 0x0D ? 0x0D : 0
    var isFirst = true
    for byte in message[range] {
      defer { isFirst = false }
      if (byte >= 0x80 && !takesEightBit) || byte == 0 { return true }
      if byte == 0x0A {
        if previous != 0x0D { return true }
        length = 0
      } else {
        if previous == 0x0D, !isFirst { return true }
        length += 1
        if length > 999 { return true }
      }
      previous = byte
    }
    return !range.isEmpty && previous == 0x0D && !(range.upperBound < message.count && message[range.upperBound] == 0x0A)
  }

  private mutating func copy(upTo end: Int) {
    if end > copied { steps.append(.copy(copied..<end)) }
    copied = max(copied, end)
  }

  private mutating func encode(_ message: [UInt8], _ part: MessagePart, isMessage: Bool) throws(Refusal) {
    // RFC 6533, 6: the international kinds of reports may be encoded.
    guard part.type != "multipart", part.type != "message" || part.subtype.hasPrefix("global-") else { throw .opaque }
    guard part.encoding != .base64, part.encoding != .quotedPrintable, part.encoding != .other else { throw .alreadyEncoded }
    let range = part.bodyStart..<part.bodyEnd
    let isQuotable = part.kind == .text && Self.isMostlyPlain(message, range)
    rewriteHeader(message, part, encoding: isQuotable ? "quoted-printable" : "base64", isMessage: isMessage, text: range)
    copy(upTo: part.bodyStart)
    steps.append(isQuotable ? .quotedPrintable(range) : .base64(range))
    copied = part.bodyEnd
  }

  /// Text that stays readable in quoted-printable, and no longer than in base 64: under one octet in six to be escaped.
  private static func isMostlyPlain(_ message: [UInt8], _ range: Range<Int>) -> Bool {
    var odd = 0
    for byte in message[range] {
      if byte == 0 { return false }
      if byte >= 0x80 || byte == 0x3D { odd += 1 }
    }
    return odd < range.count / 6 + 16
  }

  // MARK: Headers

  /// Writes a part's header with another `Content-Transfer-Encoding` (nil: as it is), the last field of it. A message's
  /// header gets what MIME asks for, if it has none (RFC 2045, 4; RFC 1428, 3).
  private mutating func rewriteHeader(
    _ message: [UInt8], _ part: MessagePart, encoding: String?, isMessage: Bool, text: Range<Int>?
  ) {
    guard let encoding else { return }
    var hasVersion = false
    var hasType = false
    var isSkipping = false
    var end = part.headerStart
    copy(upTo: end)
    for line in Self.lines(message, part.headerStart..<part.bodyStart) {
      let bytes = message[line]
      if bytes.first == 0x0D || bytes.first == 0x0A { break }
      if bytes.first?.isASCIIBlank != true {
        isSkipping = Self.isField("content-transfer-encoding", bytes)
        hasVersion = hasVersion || Self.isField("mime-version", bytes)
        hasType = hasType || Self.isField("content-type", bytes)
      }
      if isSkipping {
        copied = line.upperBound
      } else {
        copy(upTo: line.upperBound)
      }
      end = line.upperBound
    }
    var added = ""
    if isMessage, !hasVersion { added += "MIME-Version: 1.0\r\n" }
    if isMessage, !hasType, let text { added += "Content-Type: text/plain; charset=\(Self.charset(message, text))\r\n" }
    added += "Content-Transfer-Encoding: \(encoding)\r\n"
    // A message that had no header at all gets the empty line too.
    if end == part.bodyStart { added += "\r\n" }
    steps.append(.insert(Array(added.utf8)))
  }

  private static func isField(_ name: StaticString, _ line: ArraySlice<UInt8>) -> Bool {
    guard let colon = line.firstIndex(of: 0x3A) else { return false }
    var end = colon
    while end > line.startIndex, line[end - 1].isASCIIBlank { end -= 1 }
    return line[line.startIndex..<end].equals(ignoringCase: name)
  }

  private static func lines(_ message: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
    var lines: [Range<Int>] = []
    var start = range.lowerBound
    while start < range.upperBound {
      let end = message[start..<range.upperBound].firstIndex(of: 0x0A).map { $0 + 1 } ?? range.upperBound
      lines.append(start..<end)
      start = end
    }
    return lines
  }

  /// What text that doesn't say is written in: UTF-8 if it is that (RFC 1428, 3 has the other name).
  private static func charset(_ message: [UInt8], _ range: Range<Int>) -> String {
    var cursor = ByteCursor(message, in: range)
    while !cursor.isAtEnd { if cursor.takeUTF8() == nil { return "unknown-8bit" } }
    return "utf-8"
  }
}
