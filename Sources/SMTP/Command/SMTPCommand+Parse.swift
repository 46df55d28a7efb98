import Bytes

extension SMTPCommand {
  /// Octets of a client's name for itself (RFC 5321, 4.5.3.1.2).
  static let clientNameOctets = 255

  /// Reads a line, without its CRLF, as a command. Total, linear, about a microsecond at most.
  ///
  /// Verbs and keywords are compared without case (RFC 5321, 2.4); blanks at the end of the line are dropped (RFC 5321, 4.1.1).
  public static func parse(_ line: [UInt8]) throws(SMTPCommandError) -> SMTPCommand {
    var end = line.count
    while end > 0, line[end - 1].isASCIIBlank { end -= 1 }
    var cursor = ByteCursor(line, in: 0..<end)
    let word = cursor.takeRange { $0.isASCIILetter }
    guard !word.isEmpty else { throw .noCommand }
    guard cursor.isAtEnd || cursor.peek?.isASCIIBlank == true else { return .unknown }
    guard let verb = Verb(cursor[word]) else { return .unknown }
    cursor.skipWhitespace()
    if verb == .bdat { return try ChunkCommand.parse(&cursor) }
    // HOSTILE 14: no control character anywhere behind the verb.
    for index in cursor.position..<max(end, cursor.position) where line[index].isASCIIControl && line[index] != 0x09 {
      throw .badCharacter
    }
    return try parse(verb, &cursor)
  }

  private static func parse(_ verb: Verb, _ cursor: inout ByteCursor) throws(SMTPCommandError) -> SMTPCommand {
    switch verb {
    case .ehlo: return .ehlo(try clientName(&cursor))
    case .helo: return .helo(try clientName(&cursor))
    case .lhlo: return .lhlo(try clientName(&cursor))
    case .mail: return .mail(try MailCommand.parse(&cursor))
    case .rcpt: return .rcpt(try RecipientCommand.parse(&cursor))
    case .bdat: return try ChunkCommand.parse(&cursor)
    case .data: return try alone(.data, cursor)
    case .rset: return try alone(.rset, cursor)
    case .quit: return try alone(.quit, cursor)
    case .starttls: return try alone(.starttls, cursor)
    case .noop: return .noop
    case .help: return .help
    case .vrfy: return try withArgument(.vrfy, cursor)
    case .expn: return try withArgument(.expn, cursor)
    case .auth: return try authentication(&cursor)
    case .xclient: return .xclient(try XCLIENTCommand.parse(&cursor))
    }
  }

  /// A command without an argument (RFC 5321, 4.1.1.4, 4.1.1.5 and 4.1.1.10; RFC 3207, 4).
  private static func alone(_ command: SMTPCommand, _ cursor: ByteCursor) throws(SMTPCommandError) -> SMTPCommand {
    guard cursor.isAtEnd else { throw .badArgument }
    return command
  }

  private static func withArgument(_ command: SMTPCommand, _ cursor: ByteCursor) throws(SMTPCommandError) -> SMTPCommand {
    guard !cursor.isAtEnd else { throw .badArgument }
    return command
  }

  /// A name or address literal (RFC 5321, 4.1.1.1). Which names are good is policy; that it is one word of printable ASCII is not.
  private static func clientName(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> String {
    let name = cursor.takeRange { $0.isASCIIVisible }
    guard cursor.isAtEnd else { throw cursor.peek.map { $0 >= 0x80 } == true ? .badCharacter : .badArgument }
    guard (1...clientNameOctets).contains(name.count) else { throw .badArgument }
    return String(decoding: cursor[name], as: UTF8.self)
  }

  /// `AUTH SP mechanism [SP initial-response]` (RFC 4954, 4).
  private static func authentication(_ cursor: inout ByteCursor) throws(SMTPCommandError) -> SMTPCommand {
    let mechanism = cursor.take(atMost: 20) { $0.isASCIIAlphanumeric || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    guard !mechanism.isEmpty else { throw .badArgument }
    let name = String(decoding: mechanism.map(\.asciiUppercased), as: UTF8.self)
    if cursor.isAtEnd { return .auth(mechanism: name, initialResponse: nil) }
    guard cursor.take(0x20) else { throw .badArgument }
    cursor.skipWhitespace()
    let response = cursor.take { $0.isASCIIVisible }
    guard cursor.isAtEnd, !response.isEmpty else { throw .badArgument }
    return .auth(mechanism: name, initialResponse: response)
  }
}

/// The words that are commands.
enum Verb {
  case ehlo, helo, lhlo, mail, rcpt, data, bdat, rset, vrfy, expn, help, noop, quit, starttls, auth, xclient

  /// Four-letter verbs are found by one comparison of their letters as a number.
  init?(_ word: ArraySlice<UInt8>) {
    guard word.count == 4 else {
      if word.equals(ignoringCase: "STARTTLS") {
        self = .starttls
      } else if word.equals(ignoringCase: "XCLIENT") {
        self = .xclient
      } else {
        return nil
      }
      return
    }
    var letters: UInt32 = 0
    for byte in word { letters = letters << 8 | UInt32(byte.asciiUppercased) }
    switch letters {
    case 0x45484C4F: self = .ehlo
    case 0x48454C4F: self = .helo
    case 0x4C484C4F: self = .lhlo
    case 0x4D41494C: self = .mail
    case 0x52435054: self = .rcpt
    case 0x44415441: self = .data
    case 0x42444154: self = .bdat
    case 0x52534554: self = .rset
    case 0x56524659: self = .vrfy
    case 0x4558504E: self = .expn
    case 0x48454C50: self = .help
    case 0x4E4F4F50: self = .noop
    case 0x51554954: self = .quit
    case 0x41555448: self = .auth
    default: return nil
    }
  }
}
