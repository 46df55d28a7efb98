import MailModel
import SASL

/// What each command means now (RFC 5321, 4.1.4).
extension SMTPConversation {
  /// The next input, after `reply` or `replies`.
  public mutating func handle(_ input: SMTPInput) -> SMTPStep {
    if case .authenticating(let exchange) = phase { return handleResponse(input, exchange) }
    guard case .commands(let isWelcome) = phase else { return misuse() }
    refusedRecipientJustNow = false
    switch input {
    case .command(let command, let isLast):
      return isWelcome ? handle(command, isLast: isLast) : handleUnwelcome(command)
    case .malformed(.badChunk):
      // HOSTILE 3: where the chunk ends is unknown, so nothing behind it can be read.
      badCommands += 1
      return close(SMTPReply(.badChunk))
    case .malformed(let error): return bad(SMTPReply(error))
    case .response: return misuse()
    case .overlong: return bad(.lineTooLong)
    case .flooded: return close(.lineWithoutEnd)
    case .foreign(let other): return foreign(other)
    }
  }

  /// What came where a response to a challenge was due.
  private mutating func handleResponse(_ input: SMTPInput, _ exchange: SASLServer) -> SMTPStep {
    switch input {
    case .response(let line): return takeResponse(line, exchange)
    case .overlong:
      phase = .commands(isWelcome: true)
      return bad(.responseTooLong)
    case .flooded: return close(.lineWithoutEnd)
    case .malformed:
      phase = .commands(isWelcome: true)
      return bad(.badResponse)
    case .command, .foreign: return misuse()
    }
  }

  /// HOSTILE 8 and 13: no word more than needed, and none at all where a proxy header came from someone who may not send one.
  mutating func foreign(_ other: ForeignProtocol) -> SMTPStep {
    badCommands += 1
    switch other {
    case .http, .ssh, .tls: return close(.notSMTP)
    case .proxy: return close()
    }
  }

  /// After a refused greeting only QUIT is heard (RFC 5321, 3.1).
  private mutating func handleUnwelcome(_ command: SMTPCommand) -> SMTPStep {
    switch command {
    case .quit: return close(.goodbye)
    // The chunk behind it is not to be read.
    case .bdat: return close(.notWelcome)
    default: return bad(.notWelcome)
    }
  }

  private mutating func handle(_ command: SMTPCommand, isLast: Bool) -> SMTPStep {
    switch command {
    case .ehlo(let name), .lhlo(let name): return hello(name, isExtended: true, isLast: isLast)
    case .helo(let name): return hello(name, isExtended: false, isLast: isLast)
    case .mail(let sender): return mail(sender)
    case .rcpt(let recipient): return rcpt(recipient)
    case .data: return data(isLast: isLast)
    case .bdat(let octets, let isLastChunk): return bdat(octets, isLastChunk: isLastChunk)
    case .rset:
      // RFC 5321, 4.1.1.5: always right, and nothing of the transaction stays.
      transaction = nil
      senderWasRefused = false
      return idle(.done)
    case .noop: return idle(.done)
    case .help: return idle(service.help)
    case .vrfy: return idle(.cannotVerify)
    case .expn: return idle(.noExpansion)
    case .quit: return close(.goodbye)
    case .starttls: return startTLS(isLast: isLast)
    case .auth(let mechanism, let initial): return auth(mechanism, initial, isLast: isLast)
    case .xclient(let attributes): return xclient(attributes)
    case .unknown: return bad(.unknownCommand)
    }
  }

  /// EHLO, HELO and LHLO (RFC 5321, 4.1.1.1; RFC 2033, 4.1). A transaction ends with it (RFC 5321, 4.1.4).
  private mutating func hello(_ name: String, isExtended: Bool, isLast: Bool) -> SMTPStep {
    // HOSTILE 7; RFC 2920, 3.1: the last of its group, since what may follow hangs on the answer.
    guard isLast else { return pipelined() }
    let isRepeated = clientName != nil
    transaction = nil
    senderWasRefused = false
    clientName = name
    self.isExtended = isExtended
    let answer =
      isExtended ? service.capabilities(tls, mayUseXCLIENT: mayUseXCLIENT) : service.hello
    return isRepeated ? idle(answer) : .reply(answer)
  }

  /// Something followed a command that must be the last of its group: whoever does that does not wait for answers.
  mutating func pipelined() -> SMTPStep {
    badCommands += 1
    return close(.notPipelined)
  }

  /// `503`, which counts unless it is what a pipelining client had sent behind a MAIL that was refused.
  mutating func outOfOrder(_ reply: SMTPReply) -> SMTPStep {
    senderWasRefused ? .reply(reply) : bad(reply)
  }

  var sayHello: SMTPReply { service.dialect == .lmtp ? .sayLocalHello : .sayHello }
}
