/// Why a line is no command that can be carried out. Each has its reply in `SMTPReply.init(_: SMTPCommandError)`.
public enum SMTPCommandError: Error, Hashable, Sendable {
  /// Empty, or no word at its beginning: `500 5.5.2`.
  case noCommand
  /// A control character, NUL, or a byte above 127 where none may stand: `501 5.5.2`.
  case badCharacter
  /// The line ended with a bare LF: `500 5.5.2`.
  case bareLineFeed
  /// The argument is missing, or one stands where none may: `501 5.5.4`.
  case badArgument
  /// The reverse-path is none (RFC 5321, 4.1.2): `501 5.1.7`.
  case badSender
  /// The forward-path is none (RFC 5321, 4.1.2): `501 5.1.3`.
  case badRecipient
  /// A parameter's value is wrong, or it stands twice: `501 5.5.4`.
  case badParameter
  /// A parameter that is not known (RFC 5321, 4.1.1.11): `555 5.5.4`.
  case unknownParameter
  /// BDAT whose size or LAST can't be read: where the chunk ends is unknown. `501 5.5.4`, closed.
  case badChunk
  /// An address needs SMTPUTF8 and it was not given: `553 5.6.7` (RFC 6531, 3.5).
  case needsSMTPUTF8
}
