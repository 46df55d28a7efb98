import Bytes
import NIOCore

/// Reads replies off the wire, for a client (RFC 5321, 4.2.1).
///
/// Total and bounded: at most `SMTPReply.maximumLines` lines and `maximumOctets` a reply. An error is final for the connection: what
/// follows it can't be assigned to any command (HOSTILE 38).
public struct SMTPReplyParser: Sendable {
  /// Octets a reply may have: 65,536.
  public static let maximumOctets = 65_536

  private var code: UInt16?
  private var enhanced: EnhancedStatusCode?
  private var lines: [String] = []
  private var octets = 0
  private var scanned = 0

  public init() {}

  /// Whether a reply has begun and not ended.
  public var isInReply: Bool { code != nil }

  /// The next whole reply, consumed from `input`; nil if more bytes are needed.
  ///
  /// Lines end with LF, a CR before it is dropped. Non-ASCII text is repaired to UTF-8, control characters become `?`.
  public mutating func next(from input: inout ByteBuffer) throws(SMTPReplyError) -> SMTPReply? {
    while true {
      guard let length = lineLength(in: input) else {
        scanned = input.readableBytes
        if octets.addedClamped(scanned) > Self.maximumOctets { throw .tooLong }
        return nil
      }
      scanned = 0
      octets = octets.addedClamped(length)
      guard octets <= Self.maximumOctets else { throw .tooLong }
      guard let line = input.readBytes(length: length) else { return nil }
      if let reply = try take(line) {
        self = SMTPReplyParser()
        return reply
      }
    }
  }

  private func lineLength(in input: ByteBuffer) -> Int? {
    input.withUnsafeReadableBytes { ByteScan.firstIndex(of: 0x0A, in: $0, from: scanned).map { $0 + 1 } }
  }

  /// Takes one line with its ending; the reply if it was the last (RFC 5321, 4.2.1).
  private mutating func take(_ line: [UInt8]) throws(SMTPReplyError) -> SMTPReply? {
    var end = line.count - 1
    if end > 0, line[end - 1] == 0x0D { end -= 1 }
    var cursor = ByteCursor(line, in: 0..<max(end, 0))
    guard let number = cursor.takeDecimal(digits: 3), cursor.position == 3, number >= 200, number <= 599 else { throw .malformed }
    let lineCode = UInt16(truncatingIfNeeded: number)
    if let code, code != lineCode { throw .codesDisagree(code, lineCode) }
    code = lineCode
    let isLast: Bool
    switch cursor.next() {
    case nil, UInt8(ascii: " "): isLast = true
    case UInt8(ascii: "-"): isLast = false
    default: throw .malformed
    }
    let start = cursor.position
    if let found = EnhancedStatusCode.take(from: &cursor), UInt16(found.class.rawValue) == lineCode / 100 {
      if enhanced == nil { enhanced = found }
      _ = cursor.take(UInt8(ascii: " "))
    } else {
      cursor.reset(to: start)
    }
    guard lines.count < SMTPReply.maximumLines else { throw .tooManyLines }
    lines.append(String(decoding: cursor.rest(), as: UTF8.self))
    return isLast ? SMTPReply(lineCode, enhanced, lines: lines) : nil
  }
}

/// Why bytes are no reply.
public enum SMTPReplyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A line that does not begin with three digits and a space or hyphen.
  case malformed
  /// The lines of one reply bear different codes (RFC 5321, 4.2.1).
  case codesDisagree(UInt16, UInt16)
  /// More than `SMTPReply.maximumLines`.
  case tooManyLines
  /// More than `SMTPReplyParser.maximumOctets`.
  case tooLong

  /// For people.
  public var description: String {
    switch self {
    case .malformed: "a line without a code"
    case .codesDisagree(let first, let second): "its lines have different codes, \(first) and \(second)"
    case .tooManyLines: "more than \(SMTPReply.maximumLines) lines"
    case .tooLong: "more than \(SMTPReplyParser.maximumOctets) octets"
    }
  }
}
