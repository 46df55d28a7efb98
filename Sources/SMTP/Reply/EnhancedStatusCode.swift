import Bytes

/// An enhanced mail system status code, `5.1.1` (RFC 3463, 2; RFC 5248).
public struct EnhancedStatusCode: Hashable, Sendable, CustomStringConvertible {
  /// The first number: what it means for the message.
  public enum Class: UInt8, Hashable, Sendable {
    case success = 2
    case transient = 4
    case permanent = 5
  }

  public let `class`: Class
  /// 0...999: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 security.
  public let subject: UInt16
  /// 0...999.
  public let detail: UInt16

  /// A code; numbers above 999 become 0 ("other").
  public init(_ class: Class, _ subject: UInt16, _ detail: UInt16) {
    self.class = `class`
    self.subject = subject > 999 ? 0 : subject
    self.detail = detail > 999 ? 0 : detail
  }

  public var description: String { "\(self.class.rawValue).\(subject).\(detail)" }

  /// Appends `5.1.1`.
  func append(to prefix: inout ReplyPrefix) {
    prefix.append(0x30 + self.class.rawValue)
    prefix.append(UInt8(ascii: "."))
    prefix.append(number: subject)
    prefix.append(UInt8(ascii: "."))
    prefix.append(number: detail)
  }

  /// Takes `class "." subject "." detail` (RFC 3463, 2) if it comes next, followed by a blank or the end; takes nothing otherwise.
  static func take(from cursor: inout ByteCursor) -> EnhancedStatusCode? {
    let start = cursor.position
    guard let digit = cursor.next(), digit.isASCIIDigit, let kind = Class(rawValue: digit &- 0x30), cursor.take(UInt8(ascii: ".")),
      let subject = cursor.takeDecimal(digits: 3), cursor.take(UInt8(ascii: ".")), let detail = cursor.takeDecimal(digits: 3),
      cursor.isAtEnd || cursor.peek?.isASCIIBlank == true
    else {
      cursor.reset(to: start)
      return nil
    }
    return EnhancedStatusCode(kind, UInt16(truncatingIfNeeded: subject), UInt16(truncatingIfNeeded: detail))
  }
}
