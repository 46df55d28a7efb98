/// What the command parser found in the input.
public enum SMTPInput: Hashable, Sendable {
  /// A command. `isLast`: nothing stood behind it in the input; a command that must be the last of a group (RFC 2920, 3.1) is refused
  /// otherwise.
  case command(SMTPCommand, isLast: Bool)
  /// The line behind a challenge, without its CRLF.
  case response([UInt8])
  /// A line that is no command.
  case malformed(SMTPCommandError)
  /// A line over its limit; its rest is being discarded.
  case overlong
  /// A line over the limit of what is discarded.
  case flooded
  /// Another protocol.
  case foreign(ForeignProtocol)
}

/// A protocol that is not SMTP and was recognised by its first bytes (HOSTILE 8 and 13).
public enum ForeignProtocol: Hashable, Sendable {
  case http
  case tls
  case ssh
  /// A PROXY header where none is expected.
  case proxy
}
