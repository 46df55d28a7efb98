/// SMTP and LMTP as values: what the peer said, what may be said now, what is answered.
///
/// What it is: the grammar (`Grammar/`), commands (`Command/`), replies (`Reply/`), message bodies on their way (`Data/`),
/// proxy headers (`Proxy/`) and the server's side of the talk (`Conversation/`) of the Simple Mail Transfer Protocol; `Client*`
/// holds the client's side. No sockets, no clock, no store, no policy: a session (floor 5) feeds bytes and answers in, and
/// performs the step that comes out.
///
/// What it promises:
/// - Every function is total: no input traps, every parser is linear and bounded, nothing recurses.
/// - Exactly one reply a command (in LMTP one a recipient after the body), in order, well formed.
/// - A `250` for a message needs a proof of storage (`SMTPConversation.stored`); no other way leads to it.
/// - The end of a body is `<CRLF>.<CRLF>` and nothing else; a body with a bare CR, a bare LF or NUL is refused.
/// - Nothing that came in before TLS survives it.
///
/// Limits: `SMTPLimits`, each with its unit, default and reply.
///
/// How it fails: a broken line is answered with 5xx and counted; too many of them, or one that can't be followed by anything
/// that makes sense (HTTP, a TLS hello, a chunk of unknown size), end the connection with 421, 521, 554 or silence.
///
/// Documents: RFC 5321 (SMTP), RFC 6531 (SMTPUTF8), RFC 3030 (CHUNKING, BINARYMIME), RFC 3461 (DSN), RFC 2034, RFC 3463 and
/// RFC 5248 (enhanced status codes), RFC 3207 (STARTTLS), RFC 8689 (REQUIRETLS), RFC 9422 (LIMITS), RFC 2033 (LMTP),
/// RFC 3848 (protocol keywords), RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 2920 (PIPELINING); the PROXY protocol of HAProxy, versions 1
/// and 2; Postfix's XCLIENT.
public enum SMTPDialect: Hashable, Sendable {
  /// RFC 5321: EHLO or HELO, one reply a message.
  case smtp
  /// RFC 2033: LHLO, one reply a recipient.
  case lmtp
}
