import Bytes
import NIOCore

/// A reply (RFC 5321, 4.2): a code, perhaps an enhanced code, and text for people.
///
/// Always well formed: the code is 200 to 599; the text holds no CR, LF or other control character (each becomes `?`); a text too long for
/// a reply line of 512 octets (RFC 5321, 4.5.3.1.5) goes on in further lines; at most 100 lines.
public struct SMTPReply: Hashable, Sendable {
  /// The most lines a reply has: 100.
  public static let maximumLines = 100

  /// Octets of text a line holds: 512 less code, separator, CRLF and the longest enhanced code.
  public static let maximumLineText = 496

  /// 200...599.
  public let code: UInt16
  public let enhanced: EnhancedStatusCode?
  /// The text of the first line, without codes.
  public let text: String
  /// The text of the lines after the first.
  public let moreLines: [String]
  /// The bytes on the wire, when they were made beforehand; empty otherwise.
  let wire: ByteBuffer?

  /// A reply of one text (in several lines if it is long).
  ///
  /// - Parameter code: 200...599; anything else becomes 451, since a reply that means nothing must not mean success.
  public init(_ code: UInt16, _ enhanced: EnhancedStatusCode? = nil, _ text: String) {
    self.init(code, enhanced, lines: [text])
  }

  /// A reply of several lines.
  public init(_ code: UInt16, _ enhanced: EnhancedStatusCode? = nil, lines: [String]) {
    self.code = (200...599).contains(code) ? code : 451
    self.enhanced = enhanced
    self.wire = nil
    if lines.count == 1, let only = lines.first, ReplyText.isClean(only) {
      self.text = only
      self.moreLines = []
      return
    }
    let clean = ReplyText.lines(of: lines)
    self.text = clean.first ?? ""
    self.moreLines = Array(clean.dropFirst())
  }

  private init(_ reply: SMTPReply, wire: ByteBuffer) {
    self.code = reply.code
    self.enhanced = reply.enhanced
    self.text = reply.text
    self.moreLines = reply.moreLines
    self.wire = wire
  }

  /// The same reply with its wire form made once, for replies that are sent again and again.
  public func prebuilt() -> SMTPReply {
    var buffer = ByteBuffer()
    write(to: &buffer)
    return SMTPReply(self, wire: buffer)
  }

  public static func == (left: Self, right: Self) -> Bool {
    left.code == right.code && left.enhanced == right.enhanced && left.text == right.text && left.moreLines == right.moreLines
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(code)
    hasher.combine(text)
  }

  /// All lines of text, without codes; at least one.
  public var lines: [String] { [text] + moreLines }

  /// 2xx.
  public var isSuccess: Bool { code < 300 }
  /// 3xx.
  public var isIntermediate: Bool { code >= 300 && code < 400 }
  /// 4xx.
  public var isTransient: Bool { code >= 400 && code < 500 }
  /// 5xx.
  public var isPermanent: Bool { code >= 500 }

  /// The same refusal for a while only: 5xx as 4xx and 5.x.y as 4.x.y, so that who was refused tries again. What is no refusal stays.
  public var softened: SMTPReply {
    guard isPermanent else { return self }
    let enhanced = enhanced.map { EnhancedStatusCode($0.class == .permanent ? .transient : $0.class, $0.subject, $0.detail) }
    return SMTPReply(code - 100, enhanced, lines: lines)
  }

  /// Appends the reply as it goes on the wire: each line with code, enhanced code and CRLF; bytes above 127 as `?`
  /// (RFC 5321, 4.2: text is ASCII).
  public func write(to buffer: inout ByteBuffer) {
    if let wire {
      buffer.writeImmutableBuffer(wire)
      return
    }
    write(text, isLast: moreLines.isEmpty, to: &buffer)
    for (index, line) in moreLines.enumerated() { write(line, isLast: index == moreLines.count - 1, to: &buffer) }
  }

  private func write(_ line: String, isLast: Bool, to buffer: inout ByteBuffer) {
    var prefix = ReplyPrefix()
    prefix.append(number: code)
    prefix.append(isLast ? UInt8(ascii: " ") : UInt8(ascii: "-"))
    if let enhanced {
      enhanced.append(to: &prefix)
      prefix.append(UInt8(ascii: " "))
    }
    ReplyText.write(prefix, line, to: &buffer)
  }
}

extension SMTPReply: CustomStringConvertible {
  /// The reply in one line, lines joined by a space: `550 5.1.1 No such user`.
  public var description: String {
    var result = String(code)
    if let enhanced { result += " \(enhanced)" }
    for line in lines where !line.isEmpty { result += " " + line }
    return result
  }
}
