import Bytes

/// One exchange, the server's side.
///
/// `begin` first, then `take` for each response and `answer` for each answer, until `succeeded` or `failed`. After that, and out of
/// order, everything is `failed`.
public struct SASLServer: Hashable, Sendable {
  private enum Phase: Hashable {
    case new
    /// A mechanism of one response waits for it.
    case response
    case loginName
    case loginPassword(user: String)
    case scram(ScramExchange)
    /// A verdict is due.
    case asked
    /// The client has been told why its token is not good, and has to say that it has read it (RFC 7628, 3.2.3).
    case tokenRefused(SASLFailure)
    case over
  }

  public let mechanism: SASLMechanism
  private let channel: SASLChannel
  private let limits: SASLLimits
  private var phase = Phase.new
  private let nonce: [UInt8]

  /// - Parameter nonce: at least 18 octets nobody can guess, for this exchange only (SCRAM).
  public init(_ mechanism: SASLMechanism, channel: SASLChannel, nonce: [UInt8], limits: SASLLimits = .init()) {
    self.mechanism = mechanism
    self.channel = channel
    self.nonce = nonce
    self.limits = limits
  }

  /// Starts. `initial`: what came with the command (empty for `=`), nil if nothing did.
  public mutating func begin(initial: [UInt8]?) -> SASLStep {
    guard phase == .new else { return end(.malformed("begun already")) }
    guard !mechanism.exposesSecret || channel.isProtected else { return end(.encryptionRequired) }
    switch mechanism {
    case .login: phase = .loginName
    case .scramSHA1, .scramSHA1Plus, .scramSHA256, .scramSHA256Plus:
      guard let hash = mechanism.scramHash, nonce.count >= 18 else { return end(.temporary) }
      phase = .scram(
        ScramExchange(hash: hash, isPlus: mechanism.bindsChannel, channel: channel, nonce: Base64.encode(nonce), limits: limits))
    case .plain, .external, .oauthBearer, .xoauth2: phase = .response
    }
    if let initial { return take(initial) }
    return .challenge(mechanism == .login ? Array("Username:".utf8) : [])
  }

  /// Takes the client's response to the last challenge.
  public mutating func take(_ response: [UInt8]) -> SASLStep {
    guard response.count <= limits.responseLength else { return end(.malformed("too long")) }
    switch phase {
    case .response: return single(response)
    case .loginName:
      guard let user = SASLText.name(response[...], limit: limits.nameLength) else { return end(.malformed("the name")) }
      phase = .loginPassword(user: user)
      return .challenge(Array("Password:".utf8))
    case .loginPassword(let user):
      guard let password = password(response[...]) else { return end(.malformed("the password")) }
      return ask(.password(user: user, password: password, actsAs: nil))
    case .scram(var exchange):
      let step = exchange.take(response)
      phase = .scram(exchange)
      return step
    case .tokenRefused(let failure): return end(failure)
    case .new, .asked, .over: return end(.malformed("no response was due"))
    }
  }

  /// Takes the answer to the last question.
  public mutating func answer(_ answer: SASLAnswer) -> SASLStep {
    switch (phase, answer) {
    case (.scram(var exchange), .scram(let keys, let mayAct)):
      let step = exchange.answer(keys, mayAct: mayAct)
      phase = .scram(exchange)
      return step
    case (.scram, .verdict(.rejected(let failure))): return end(failure)
    case (.asked, .verdict(.accepted)):
      phase = .over
      return .succeeded
    case (.asked, .verdict(.rejected(let failure))):
      guard failure == .badCredentials, let why = tokenProblem else { return end(failure) }
      phase = .tokenRefused(failure)
      return .challenge(why)
    default: return end(.temporary)
    }
  }

  /// What a client is told of a token that is not good (RFC 7628, 3.2.2); nil for the other mechanisms.
  private var tokenProblem: [UInt8]? {
    switch mechanism {
    case .oauthBearer: Array(#"{"status":"invalid_token"}"#.utf8)
    case .xoauth2: Array(#"{"status":"400","schemes":"Bearer"}"#.utf8)
    case .plain, .login, .scramSHA1, .scramSHA1Plus, .scramSHA256, .scramSHA256Plus, .external: nil
    }
  }

  private mutating func single(_ response: [UInt8]) -> SASLStep {
    switch mechanism {
    case .plain: return plain(response)
    case .external:
      guard !response.isEmpty else { return ask(.certificate(actsAs: nil)) }
      guard let name = SASLText.name(response[...], limit: limits.nameLength) else { return end(.malformed("the identity")) }
      return ask(.certificate(actsAs: name))
    case .oauthBearer, .xoauth2:
      let found = mechanism == .xoauth2 ? BearerResponse(xoauth2: response, limits) : BearerResponse(oauthBearer: response, limits)
      guard let found else { return end(.malformed("the token")) }
      return ask(.token(user: found.user, token: found.token))
    case .login, .scramSHA1, .scramSHA1Plus, .scramSHA256, .scramSHA256Plus: return end(.temporary)
    }
  }

  /// `[authzid] NUL authcid NUL passwd` (RFC 4616, 2).
  private mutating func plain(_ response: [UInt8]) -> SASLStep {
    guard let (acts, rest) = SASLText.cut(response[...], at: 0), let (user, secret) = SASLText.cut(rest, at: 0),
      let name = SASLText.name(user, limit: limits.nameLength), let password = password(secret)
    else { return end(.malformed("name or password")) }
    guard !acts.isEmpty else { return ask(.password(user: name, password: password, actsAs: nil)) }
    guard let actsAs = SASLText.name(acts, limit: limits.nameLength) else { return end(.malformed("the authorization identity")) }
    return ask(.password(user: name, password: password, actsAs: actsAs == name ? nil : actsAs))
  }

  /// Any UTF-8 but NUL.
  private func password(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    guard !bytes.isEmpty, bytes.count <= limits.passwordLength, !bytes.contains(0) else { return nil }
    return String(validating: bytes, as: UTF8.self) == nil ? nil : Array(bytes)
  }

  private mutating func ask(_ question: SASLQuestion) -> SASLStep {
    phase = .asked
    return .ask(question)
  }

  private mutating func end(_ failure: SASLFailure) -> SASLStep {
    phase = .over
    return .failed(failure)
  }
}
