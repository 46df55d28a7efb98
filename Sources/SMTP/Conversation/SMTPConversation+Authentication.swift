import SASL

/// AUTH (RFC 4954): who the client is. The exchange itself is a `SASLServer`; here are its place among the commands, and its replies.
extension SMTPConversation {
  /// `AUTH mechanism [initial-response]` (RFC 4954, 4).
  mutating func auth(_ name: String, _ initial: [UInt8]?, isLast: Bool) -> SMTPStep {
    guard let offer = service.authentication else {
      guard clientName != nil else { return bad(sayHello) }
      guard transaction == nil else { return bad(.inTransaction) }
      return bad(.notOffered)
    }
    // RFC 4954, 4, and 2920, 3.1: what follows hangs on the answer.
    guard isLast else { return pipelined() }
    guard clientName != nil, isExtended else { return bad(.sayHello) }
    guard transaction == nil else { return bad(.inTransaction) }
    guard !isAuthenticated else { return bad(.isAuthenticated) }
    guard let mechanism = SASLMechanism(name: name), offer.mechanisms.contains(mechanism) else { return bad(.unknownMechanism) }
    guard tls != nil || !(offer.needsTLS || mechanism.exposesSecret) else { return bad(.authenticationNeedsTLS) }
    var exchange = SASLServer(mechanism, channel: channel(offer), nonce: offer.makeNonce())
    switch initial.map({ SASLWire.readInitial($0) }) {
    case nil: return go(exchange.begin(initial: nil), exchange)
    case .response(let response): return go(exchange.begin(initial: response), exchange)
    case .cancel, .malformed: return bad(.badResponse)
    }
  }

  /// The line that answers a challenge.
  mutating func takeResponse(_ line: [UInt8], _ exchange: SASLServer) -> SMTPStep {
    var exchange = exchange
    phase = .commands(isWelcome: true)
    switch SASLWire.read(line) {
    case .response(let response): return go(exchange.take(response), exchange)
    case .cancel: return bad(.authenticationCancelled)
    case .malformed: return bad(.badResponse)
    }
  }

  /// The answer to `ask(.authentication)`.
  public mutating func answer(_ answer: SASLAnswer) -> SMTPStep {
    guard case .authenticating(var exchange) = phase else { return misuse() }
    return go(exchange.answer(answer), exchange)
  }

  private mutating func go(_ step: SASLStep, _ exchange: SASLServer) -> SMTPStep {
    switch step {
    case .challenge(let challenge):
      phase = .authenticating(exchange)
      return .challenge(SMTPReply(334, nil, String(decoding: SASLWire.write(challenge), as: UTF8.self)))
    case .ask(let question):
      phase = .authenticating(exchange)
      return .ask(.authentication(question))
    case .succeeded:
      phase = .commands(isWelcome: true)
      isAuthenticated = true
      return .reply(.authenticated)
    case .failed(let failure):
      phase = .commands(isWelcome: true)
      return refuse(failure)
    }
  }

  /// RFC 4954, 4 and 6. The reply to a wrong password is that to an unknown user.
  private mutating func refuse(_ failure: SASLFailure) -> SMTPStep {
    switch failure {
    case .cancelled: return bad(.authenticationCancelled)
    case .malformed: return bad(.badResponse)
    case .encryptionRequired: return bad(.authenticationNeedsTLS)
    case .temporary: return .reply(.authenticationUnavailable)
    case .badCredentials, .channelBindingMismatch, .notAuthorized:
      failedAuthentications += 1
      guard failedAuthentications < service.limits.failedAuthentications else { return close(.tooManyFailedLogins) }
      switch failure {
      case .notAuthorized: return .reply(.mayNotActAs)
      case .channelBindingMismatch: return .reply(.wrongChannel)
      default: return .reply(.badCredentials)
      }
    }
  }

  private func channel(_ offer: SMTPService.Authentication) -> SASLChannel {
    let exporter = tls?.exporter
    return SASLChannel(
      isProtected: tls != nil, tlsExporter: exporter,
      offersBinding: exporter != nil && offer.mechanisms.contains(where: \.bindsChannel))
  }
}
