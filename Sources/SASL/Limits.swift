/// Bounds of an exchange.
public struct SASLLimits: Hashable, Sendable {
  /// Octets of a response in base64, without its line end. Default 12,286 (RFC 4954, 4, less CRLF).
  public var responseLength = 12_286
  /// Octets of a user's name. Default 320: 64, `@`, 255.
  public var nameLength = 320
  /// Octets of a password. Default 1,024.
  public var passwordLength = 1_024
  /// Octets of a token. Default 8,192.
  public var tokenLength = 8_192
  /// Octets of a client's SCRAM nonce. Default 256.
  public var nonceLength = 256

  public init() {}
}
