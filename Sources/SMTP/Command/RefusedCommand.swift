import Bytes
import InternetMessage

/// What a line that is no command all the same tells, for log and trace: whether it was to be MAIL or RCPT, and whom it names, where that can
/// be read (a parameter behind it may be what is wrong).
public struct RefusedCommand: Hashable, Sendable {
  public enum Verb: Hashable, Sendable {
    case mail
    case rcpt
  }

  public let verb: Verb
  /// Nil where the path can't be read, or is the null path.
  public let address: EmailAddress?

  /// - Parameter line: as it came, without its end. Nil: it was neither.
  public init?(_ line: [UInt8]) {
    var cursor = ByteCursor(line)
    let word = cursor.takeRange { $0.isASCIILetter }
    switch Verb(cursor[word]) {
    case .mail: verb = .mail
    case .rcpt: verb = .rcpt
    default: return nil
    }
    guard cursor.peek?.isASCIIBlank == true else { return nil }
    cursor.skipWhitespace()
    let parser = AddressParser(allowsUTF8: true)
    if verb == .mail {
      address = cursor.take(ignoringCase: "FROM:") ? Self.path(&cursor) { try parser.reversePath(&$0) } : nil
    } else {
      address = cursor.take(ignoringCase: "TO:") ? Self.path(&cursor) { try parser.forwardPath(&$0) } : nil
    }
  }

  private static func path(
    _ cursor: inout ByteCursor, _ read: (inout ByteCursor) throws -> EmailAddress?
  ) -> EmailAddress? {
    cursor.skipWhitespace()
    return (try? read(&cursor)) ?? nil
  }
}

extension RefusedCommand.Verb {
  fileprivate init?(_ word: ArraySlice<UInt8>) {
    switch SMTP.Verb(word) {
    case .mail: self = .mail
    case .rcpt: self = .rcpt
    default: return nil
    }
  }
}
