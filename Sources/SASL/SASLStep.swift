/// What an exchange wants next.
public enum SASLStep: Hashable, Sendable {
  /// Send this, and give the client's response to `take`.
  case challenge([UInt8])
  /// Find this out, and give it to `answer`.
  case ask(SASLQuestion)
  /// It is who the last question asked about.
  case succeeded
  /// The exchange is over.
  case failed(SASLFailure)
}

/// What only the server's accounts know. Names are UTF-8 without control characters, at most `SASLLimits.nameLength` octets.
public enum SASLQuestion: Hashable, Sendable {
  /// Whether the password is that of `user`, who may act as `actsAs` (nil: as himself; RFC 4616). Answer: `verdict`.
  case password(user: String, password: [UInt8], actsAs: String?)
  /// The keys of `user`, for a user that does not exist too (made of the name, so that they are the same each time; RFC 5802, 9).
  /// Answer: `scram`.
  case scramKeys(user: String, hash: ScramHash, actsAs: String?)
  /// Whose token it is (RFC 6750). `user` is who the client says it is, nil if it leaves that to the token. Answer: `verdict`.
  case token(user: String?, token: [UInt8])
  /// Whether the client's certificate is that of `actsAs` (nil: whoever it is made out to). Answer: `verdict`.
  case certificate(actsAs: String?)
}

/// The answer to a question.
public enum SASLAnswer: Hashable, Sendable {
  case verdict(SASLVerdict)
  /// The keys to hold the client's proof against. `mayAct`: whether the user exists, is enabled and may act as was asked; told only
  /// after a right proof.
  case scram(ScramKeys, mayAct: Bool)
}

public enum SASLVerdict: Hashable, Sendable {
  case accepted
  case rejected(SASLFailure)
}

/// Why an exchange failed. The caller has the reply that its protocol gives to each.
public enum SASLFailure: Error, Hashable, Sendable {
  /// The client cancelled with `*`.
  case cancelled
  /// The response is none of the mechanism's: base64, grammar, length.
  case malformed(String)
  /// Unknown user, wrong password, wrong proof, token not good: never said which.
  case badCredentials
  /// The credentials are right; to act as the other name is not granted.
  case notAuthorized
  /// The mechanism needs TLS first (RFC 4954, 6: 538 5.7.11; IMAP `PRIVACYREQUIRED`).
  case encryptionRequired
  /// Channel binding that doesn't fit the connection: somebody is in between, or the client is confused.
  case channelBindingMismatch
  /// Nobody can say now: directory away, too much work waiting. Not a wrong password.
  case temporary
}
