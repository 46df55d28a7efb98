import CArgon2
import Outside

/// Passwords as Argon2id in PHC string form (RFC 9106): `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
///
/// Both calls take about 20 ms and 19 MiB: they belong on a worker, never on an event loop.
public enum PasswordHash {
  /// Why there is no hash.
  public enum Problem: Error, Hashable, Sendable {
    case empty
    case tooLong(limit: Int)
    /// No memory, most likely.
    case failed(String)
  }

  /// Octets of salt (RFC 9106, 4).
  static let saltLength = 16
  /// Octets of the tag (RFC 9106, 4).
  static let tagLength = 32
  /// A longer stored hash is not looked at: it is not ours.
  static let longestEncoding = 512

  /// Makes a hash with a fresh salt.
  public static func make(
    of password: [UInt8], random: some RandomSource, limits: PasswordLimits = .init()
  ) throws(Problem) -> String {
    guard !password.isEmpty else { throw .empty }
    guard password.count <= limits.passwordLength else { throw .tooLong(limit: limits.passwordLength) }
    let salt = random.bytes(saltLength)
    var encoded = [CChar](repeating: 0, count: longestEncoding)
    let code = argon2id_hash_encoded(
      limits.passes, limits.memory, 1, password, password.count, salt, salt.count, tagLength, &encoded, encoded.count)
    guard code == ARGON2_OK.rawValue else { throw .failed(String(cString: argon2_error_message(code))) }
    return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Whether the password is the one that `encoded` was made of. Compared in constant time; false for anything that is no hash.
  public static func verify(_ password: [UInt8], against encoded: String, limits: PasswordLimits = .init()) -> Bool {
    guard !password.isEmpty, password.count <= limits.passwordLength else { return false }
    guard encoded.utf8.count < longestEncoding, !encoded.utf8.contains(0), encoded.hasPrefix("$argon2id$") else { return false }
    return argon2id_verify(encoded, password, password.count) == ARGON2_OK.rawValue
  }
}
