/// What the client is waiting for, for deadlines and reports.
public enum SMTPClientStage: String, Hashable, Sendable {
  case connect = "connection"
  case greeting = "greeting"
  case hello = "EHLO"
  case startTLS = "STARTTLS"
  case handshake = "TLS handshake"
  case authentication = "AUTH"
  case mail = "MAIL FROM"
  case recipient = "RCPT TO"
  case data = "DATA"
  case body = "message body"
  case end = "end of message"
  case reset = "RSET"
  case quit = "QUIT"
}

/// How a body goes over the wire.
public enum SMTPBodyFraming: Hashable, Sendable {
  /// Dot-stuffed, ended by a line with a dot (`DotStuffer`).
  case dotted
  /// As it is, exactly the announced octets (RFC 3030, 2).
  case chunk
}

/// What is to be done next for a client conversation.
public enum SMTPClientStep: Hashable, Sendable {
  /// Read the reply to this, then `received`. Output is to be flushed first.
  case receive(SMTPClientStage)
  /// Put TLS in front, then `tlsEstablished` or `tlsFailed`. The input must be empty (RFC 3207, 4.2; HOSTILE 40).
  case startTLS
  /// Send the body of this transaction in this framing, then `bodySent`.
  case sendBody(id: UInt64, SMTPBodyFraming)
  /// A transaction is over.
  case completed(SMTPTransactionResult)
  /// Nothing is under way: `start` another transaction, or `quit`.
  case ready
  /// Close the connection: after a QUIT (nil), or since the host can't be worked with.
  case end(SMTPClientFailure?)
}
