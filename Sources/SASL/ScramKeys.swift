import COpenSSL

/// The hash that a SCRAM mechanism is made with.
public enum ScramHash: String, Hashable, Sendable, CaseIterable {
  /// RFC 5802. SHA-1 as HMAC is not broken, but SHA-256 is preferred.
  case sha1 = "SHA-1"
  /// RFC 7677.
  case sha256 = "SHA-256"

  /// Octets of a digest.
  public var length: Int { self == .sha1 ? 20 : 32 }

  private var function: OpaquePointer? { self == .sha1 ? EVP_sha1() : EVP_sha256() }

  /// The digest; empty if the library fails, which no comparison takes for equal.
  func digest(_ bytes: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: length)
    var count: UInt32 = 0
    let code = EVP_Digest(bytes, bytes.count, &out, &count, function, nil)
    return code == 1 && Int(count) == length ? out : []
  }

  /// HMAC (RFC 2104) of `message`; empty if the library fails.
  public func hmac(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: length)
    var count: UInt32 = 0
    let made = HMAC(function, key, Int32(clamping: key.count), message, message.count, &out, &count)
    return made != nil && Int(count) == length ? out : []
  }

  /// `Hi` of RFC 5802, 2.2, which is PBKDF2 (RFC 8018) with HMAC; empty if the library fails.
  func hi(password: [UInt8], salt: [UInt8], iterations: Int) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: length)
    let code = password.withUnsafeBytes { bytes in
      PKCS5_PBKDF2_HMAC(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(clamping: bytes.count), salt, Int32(clamping: salt.count),
        Int32(clamping: iterations), function, Int32(clamping: length), &out)
    }
    return code == 1 ? out : []
  }
}

/// What a server keeps of a password for SCRAM (RFC 5802, 3): enough to check a proof, not enough to make one.
public struct ScramKeys: Hashable, Sendable {
  /// Iterations that `derive` makes unless told otherwise: RFC 7677, 4 asks for at least 4,096. A phone takes some milliseconds for as many.
  public static let defaultIterations = 20_000
  /// A stored count outside of it is damage.
  public static let iterationRange = 1...10_000_000

  public var hash: ScramHash
  public var salt: [UInt8]
  public var iterations: Int
  public var storedKey: [UInt8]
  public var serverKey: [UInt8]

  public init(hash: ScramHash, salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
    self.hash = hash
    self.salt = salt
    self.iterations = iterations
    self.storedKey = storedKey
    self.serverKey = serverKey
  }

  /// The keys of a password, which the caller has prepared (RFC 8265, 4). Takes milliseconds: for a worker, not an event loop. Nil if the
  /// library fails.
  public static func derive(
    from password: [UInt8], salt: [UInt8], iterations: Int = defaultIterations, hash: ScramHash
  ) -> ScramKeys? {
    guard !salt.isEmpty, iterationRange.contains(iterations) else { return nil }
    let salted = hash.hi(password: password, salt: salt, iterations: iterations)
    let client = hash.hmac(key: salted, Array("Client Key".utf8))
    let keys = ScramKeys(
      hash: hash, salt: salt, iterations: iterations, storedKey: hash.digest(client),
      serverKey: hash.hmac(key: salted, Array("Server Key".utf8)))
    return keys.isWhole ? keys : nil
  }

  /// Keys that no password fits, the same each time for the same `name` and `secret`: what a client sees of a user who does not exist.
  public static func imitation(of name: String, secret: [UInt8], hash: ScramHash) -> ScramKeys {
    func part(_ label: String) -> [UInt8] { hash.hmac(key: secret, Array("\(label)\u{0}\(hash.rawValue)\u{0}\(name)".utf8)) }
    return ScramKeys(
      hash: hash, salt: Array(part("salt").prefix(16)), iterations: defaultIterations, storedKey: part("stored"),
      serverKey: part("server"))
  }

  var isWhole: Bool {
    !salt.isEmpty && storedKey.count == hash.length && serverKey.count == hash.length && Self.iterationRange.contains(iterations)
  }
}

/// Whether two secrets are equal, in a time that does not depend on where they differ. Empty ones never are.
func equalInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  guard left.count == right.count, !left.isEmpty else { return false }
  return CRYPTO_memcmp(left, right, left.count) == 0
}
