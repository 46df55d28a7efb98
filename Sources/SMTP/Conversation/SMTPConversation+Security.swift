import Outside

/// STARTTLS, XCLIENT and the answer to the greeting: who talks to whom, and how safely.
extension SMTPConversation {
  /// STARTTLS (RFC 3207, 4).
  mutating func startTLS(isLast: Bool) -> SMTPStep {
    // HOSTILE 5: bytes behind it came in clear; none of them is looked at.
    guard isLast else { return pipelined() }
    guard service.extensions.contains(.startTLS) || tls != nil else { return bad(.notOffered) }
    guard tls == nil else { return bad(.alreadyTLS) }
    guard clientName != nil else { return bad(sayHello) }
    guard transaction == nil else { return bad(.inTransaction) }
    phase = .handshake
    return .upgradeTLS(.startTLS)
  }

  /// TLS stands; the conversation starts again (RFC 3207, 4.2): nothing the client said before is remembered, only what it did wrong.
  public mutating func tlsEstablished(_ facts: TLSFacts) -> SMTPStep {
    guard case .handshake = phase else { return misuse() }
    tls = facts
    forgetClient()
    phase = .commands(isWelcome: true)
    return .proceed
  }

  /// The handshake failed, or bytes stood in the input (HOSTILE 5).
  public mutating func tlsFailed() -> SMTPStep {
    guard case .handshake = phase else { return misuse() }
    return close()
  }

  /// XCLIENT (Postfix, XCLIENT_README): for trusted peers, outside a transaction; the greeting follows anew.
  mutating func xclient(_ attributes: XCLIENTAttributes) -> SMTPStep {
    // HOSTILE 13: who may not, gets no word.
    guard mayUseXCLIENT else {
      badCommands += 1
      return close()
    }
    guard transaction == nil else { return bad(.inTransaction) }
    return ask(.xclient(attributes))
  }

  mutating func greet(_ verdict: SMTPVerdict) -> SMTPStep {
    switch verdict {
    case .accept:
      forgetClient()
      return reply(service.greeting)
    case .refuse(let refusal):
      phase = .commands(isWelcome: false)
      return .reply(refusal.asRefusal)
    case .tooMany: return greet(.refuse(.internalError))
    case .refuseAndClose(let refusal): return close(refusal.asRefusal)
    }
  }

  /// Behind XCLIENT stands another client, who has done nothing wrong yet.
  mutating func forgive() {
    badRecipients = 0
    badCommands = 0
  }

  private mutating func forgetClient() {
    clientName = nil
    isAuthenticated = false
    isExtended = false
    transaction = nil
    senderWasRefused = false
  }
}
