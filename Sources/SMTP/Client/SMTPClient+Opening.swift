import Bytes
import NIOCore

/// From the greeting to the first MAIL: EHLO or HELO or LHLO, STARTTLS, AUTH.
extension SMTPClient {
  /// A whole reply came.
  public mutating func received(_ reply: SMTPReply) {
    guard phase != .ended else { return }
    guard let answered = expected.next() else {
      // Nothing was asked: 421 is allowed at any time (RFC 5321, 3.8), everything else makes the conversation unintelligible.
      return end(
        reply.code == 421
          ? SMTPClientFailure(stage: .reset, reply: reply)
          : SMTPClientFailure(stage: .reset, reason: "451 4.5.0 Host sent a reply that nothing had asked for: \(reply)"))
    }
    switch answered {
    case .greeting: greeted(reply)
    case .hello, .helo: helloAnswered(reply, wasHELO: answered == .helo)
    case .startTLS: startTLSAnswered(reply)
    case .plain, .loginStart, .loginUser, .loginPassword: authenticationAnswered(reply, to: answered)
    case .reset: resetAnswered(reply)
    case .mail(let id): mailAnswered(reply, id)
    case .recipient(let id, let index): recipientAnswered(reply, id, index)
    case .data(let id): dataAnswered(reply, id)
    case .end(let id): endAnswered(reply, id)
    case .quit: end(nil)
    }
    // The host closes the connection (RFC 5321, 3.8, 4.2.1).
    if reply.code == 421, phase != .ended { end(SMTPClientFailure(stage: answered.stage, reply: reply)) }
  }

  private mutating func greeted(_ reply: SMTPReply) {
    guard reply.code == 220 else { return end(SMTPClientFailure(stage: .greeting, reply: reply)) }
    hello()
  }

  private mutating func hello() {
    phase = .hello
    capabilities = SMTPCapabilities()
    // RFC 2033, 4.1: LHLO instead of EHLO.
    pendingOutput.writeStaticString(settings.dialect == .lmtp ? "LHLO " : "EHLO ")
    pendingOutput.writeString(settings.hostname)
    pendingOutput.writeStaticString("\r\n")
    expected.append(.hello)
  }

  private mutating func helloAnswered(_ reply: SMTPReply, wasHELO: Bool) {
    guard reply.isSuccess else {
      // RFC 5321, 3.2: a host that does not know EHLO gets HELO. LMTP has no such past.
      guard reply.isPermanent, !wasHELO, settings.dialect == .smtp else {
        return end(SMTPClientFailure(stage: .hello, reply: reply))
      }
      usedHELO = true
      pendingOutput.writeString("HELO \(settings.hostname)\r\n")
      expected.append(.helo)
      return
    }
    capabilities = wasHELO ? SMTPCapabilities() : SMTPCapabilities(reply)
    if isEncrypted || settings.tls == .none { return authenticate() }
    if capabilities.startTLS {
      phase = .startTLS
      pendingOutput.writeStaticString("STARTTLS\r\n")
      expected.append(.startTLS)
    } else if settings.tls == .required {
      end(SMTPClientFailure(stage: .startTLS, reason: "451 4.7.4 TLS is required, and the host does not offer STARTTLS"))
    } else {
      authenticate()
    }
  }

  // MARK: TLS

  private mutating func startTLSAnswered(_ reply: SMTPReply) {
    if reply.code == 220 {
      phase = .handshake
    } else if settings.tls == .required {
      end(SMTPClientFailure(stage: .startTLS, reply: reply))
    } else {
      startTLSRefusal = reply
      authenticate()
    }
  }

  /// TLS stands; everything that was known before is forgotten (RFC 3207, 4.2).
  public mutating func tlsEstablished(isVerified: Bool) {
    guard phase == .handshake else { return }
    isEncrypted = true
    self.isVerified = isVerified
    if expected.first == .greeting {
      phase = .greeting
    } else {
      hello()
    }
  }

  /// No TLS came about; the connection is to be closed.
  public mutating func tlsFailed(_ reason: String) {
    guard phase == .handshake else { return }
    end(SMTPClientFailure(stage: .handshake, reason: "451 4.7.5 TLS handshake failed: \(reason)"))
  }

  // MARK: AUTH

  private mutating func authenticate() {
    guard let credentials = settings.credentials else {
      phase = .ready
      return
    }
    guard isEncrypted || settings.allowsClearAuthentication else {
      return end(
        SMTPClientFailure(stage: .authentication, reason: "451 4.7.11 Credentials are not sent without TLS, and there is none"))
    }
    phase = .authentication
    if capabilities.authenticatesPlain {
      // RFC 4616, 2; RFC 4954, 4 (initial response).
      let message = [0] + Array(credentials.user.utf8) + [0] + Array(credentials.password.utf8)
      pendingOutput.writeString("AUTH PLAIN \(Self.base64(message))\r\n")
      expected.append(.plain)
    } else if capabilities.authenticatesLogin {
      pendingOutput.writeStaticString("AUTH LOGIN\r\n")
      expected.append(.loginStart)
    } else {
      end(SMTPClientFailure(stage: .authentication, reason: "451 4.7.0 The host offers neither AUTH PLAIN nor LOGIN"))
    }
  }

  private mutating func authenticationAnswered(_ reply: SMTPReply, to step: Expected) {
    switch (step, reply.code) {
    case (.plain, 235), (.loginPassword, 235): phase = .ready
    case (.loginStart, 334):
      pendingOutput.writeString(Self.base64(Array((settings.credentials?.user ?? "").utf8)) + "\r\n")
      expected.append(.loginUser)
    case (.loginUser, 334):
      pendingOutput.writeString(Self.base64(Array((settings.credentials?.password ?? "").utf8)) + "\r\n")
      expected.append(.loginPassword)
    default: end(SMTPClientFailure(stage: .authentication, reply: reply))
    }
  }

  private static func base64(_ bytes: [UInt8]) -> String { String(decoding: Base64.encode(bytes), as: UTF8.self) }
}
