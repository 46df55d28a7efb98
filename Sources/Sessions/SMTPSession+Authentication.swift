import Identity
import Outside
import SASL

/// AUTH: the conversation's questions go to the listener's `Authenticator`.
extension SMTPSession {
  /// Whom the client has shown to be, as long as that holds (STARTTLS and XCLIENT end it).
  var identity: Authenticator.Identity? { conversation.isAuthenticated ? shownIdentity : nil }

  func authenticate(_ question: SASLQuestion) async -> SASLAnswer {
    // Only what the authenticator can check is offered; of everything else nobody can say whose it is.
    guard let authenticator = listener.authenticator, case .password(let user, let password, let actsAs) = question else {
      return .verdict(.rejected(.temporary))
    }
    var address: IPAddress?
    if case .ip(let remote, _) = client.remote { address = remote }
    switch await authenticator.check(user: user, password: password, actsAs: actsAs, client: address) {
    case .success(let identity):
      shownIdentity = identity
      listener.log.info("logged in", metadata: ["client": .string(client.addressText), "account": .string(identity.address.wire)])
      return .verdict(.accepted)
    case .failure(let failure):
      // The name as it came may be the password, typed into the wrong field: it is told only where it is an account's.
      listener.log.notice(
        "login failed",
        metadata: [
          "client": .string(client.addressText), "account": .string(authenticator.name(of: user)), "problem": "\(failure)",
        ])
      return .verdict(.rejected(failure))
    }
  }
}
