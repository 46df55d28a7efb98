import Bytes

/// Why a private key is not taken.
public enum DKIMKeyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No private key in PEM, of RSA or Ed25519, without a passphrase.
  case unreadable
  /// An RSA key of fewer than 1,024 or more than 4,096 bits.
  case size(bits: Int)
  /// What it signs, its public half does not verify.
  case inconsistent
  /// OpenSSL could not make one.
  case notMade

  public var description: String {
    switch self {
    case .unreadable: "there is no private key in PEM, of RSA or Ed25519 and without a passphrase"
    case .size(let bits): "an RSA key of \(bits) bits: 1024 to 4096 are taken, 2048 are right"
    case .inconsistent: "the private and the public half of the key don't belong together"
    case .notMade: "OpenSSL could not make the key"
    }
  }
}

/// The private half of a DKIM key. A secret: it says nothing of itself when it is printed.
public struct DKIMPrivateKey: Sendable, CustomStringConvertible {
  /// Octets of PEM that are looked at.
  static let longestPEM = 16_384

  private let key: OpenSSLKey

  private init(_ key: OpenSSLKey?) throws(DKIMKeyError) {
    guard let key else { throw .unreadable }
    let limits = DKIMLimits()
    if key.kind == .rsa, key.bits < limits.leastRSABits || key.bits > limits.mostRSABits { throw .size(bits: key.bits) }
    self.key = key
    let hash = [UInt8](repeating: 0x5A, count: SHA256.octets)
    guard let signature = key.sign(hash: hash), key.verify(signature, hash: hash) else { throw .inconsistent }
  }

  /// Makes an RSA key. 2,048 bits are what RFC 8301, 3.2 asks for and what fits DNS everywhere. Takes some hundred milliseconds: for
  /// a worker. The randomness is OpenSSL's own.
  public static func makeRSA(bits: Int = 2_048) throws(DKIMKeyError) -> Self {
    guard bits >= 1_024, bits <= 4_096 else { throw .size(bits: bits) }
    guard let key = OpenSSLKey.makeRSA(bits: bits) else { throw .notMade }
    return try Self(key)
  }

  /// Makes an Ed25519 key (RFC 8463, 4). The randomness is OpenSSL's own.
  public static func makeEd25519() throws(DKIMKeyError) -> Self {
    guard let key = OpenSSLKey.makeEd25519() else { throw .notMade }
    return try Self(key)
  }

  /// Reads PEM: PKCS#8, or the older form `openssl genrsa` once wrote.
  public init(pem: [UInt8]) throws(DKIMKeyError) {
    guard pem.count <= Self.longestPEM else { throw .unreadable }
    try self.init(OpenSSLKey.readPEM(pem))
  }

  /// Reads the 32 octets of an Ed25519 key (RFC 8032, 5.1.5).
  public init(ed25519 octets: [UInt8]) throws(DKIMKeyError) {
    guard octets.count == 32 else { throw .unreadable }
    try self.init(OpenSSLKey.readEd25519(privateKey: octets))
  }

  /// PKCS#8 as PEM (RFC 5958): a secret.
  public var pem: [UInt8]? { key.privatePEM() }

  /// What is published of it; nil without memory.
  public var record: DKIMKeyRecord? {
    key.publicOctets().map { DKIMKeyRecord(keyType: key.kind == .rsa ? .rsa : .ed25519, publicKey: $0) }
  }

  public var algorithm: DKIMSignature.Algorithm { key.kind == .rsa ? .rsaSHA256 : .ed25519SHA256 }

  /// Of an RSA key's modulus; 256 for Ed25519.
  public var bits: Int { key.bits }

  public var description: String { key.kind == .rsa ? "RSA key of \(bits) bits" : "Ed25519 key" }

  func sign(hash: [UInt8]) -> [UInt8]? { key.sign(hash: hash) }
}

/// The public half, out of a record.
struct DKIMPublicKey: Sendable {
  private let key: OpenSSLKey

  /// Nil if the octets are no key of the record's kind.
  init?(_ record: DKIMKeyRecord) {
    let key: OpenSSLKey? =
      switch record.keyType {
      case .rsa: OpenSSLKey.readRSA(publicKey: SubjectPublicKeyInfo.rsaKey(in: record.publicKey) ?? record.publicKey[...])
      case .ed25519: record.publicKey.count == 32 ? OpenSSLKey.readEd25519(publicKey: record.publicKey) : nil
      }
    guard let key else { return nil }
    self.key = key
  }

  var bits: Int { key.bits }

  /// Why it is not trusted, or would take too long; nil if it may be used.
  func weakness(_ limits: DKIMLimits) -> String? {
    guard key.kind == .rsa else { return nil }
    if bits < limits.leastRSABits { return "the key has \(bits) bits, fewer than \(limits.leastRSABits)" }
    if bits > limits.mostRSABits { return "the key has \(bits) bits, more than \(limits.mostRSABits)" }
    return key.exponentBits > limits.exponentBits ? "the key's exponent has more than \(limits.exponentBits) bits" : nil
  }

  func verify(_ signature: [UInt8], hash: [UInt8]) -> Bool { key.verify(signature, hash: hash) }
}
