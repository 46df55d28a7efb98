import COpenSSL

// All that this target asks of OpenSSL stands in this file: hashes, keys, signatures. Its error queue belongs to the thread, so
// nothing is left there for somebody else to read as his.

/// SHA-256 (FIPS 180-4) of what comes in pieces. A value: a copy goes its own way.
struct SHA256: Sendable {
  static let octets = 32

  // Sendable: a context is changed only by a struct that alone refers to it, else it is copied first.
  private final class Context: @unchecked Sendable {
    /// Nil without memory, and then there is no hash.
    var pointer: OpaquePointer?

    init(of other: Context? = nil) {
      pointer = EVP_MD_CTX_new()
      let result =
        if let other { EVP_MD_CTX_copy_ex(pointer, other.pointer) } else { EVP_DigestInit_ex(pointer, SHA256.algorithm, nil) }
      if result != 1 { close() }
    }

    func close() {
      EVP_MD_CTX_free(pointer)
      pointer = nil
    }

    deinit { EVP_MD_CTX_free(pointer) }
  }

  // Fetched once, never freed, never changed: OpenSSL shares it between threads itself.
  nonisolated(unsafe) fileprivate static let algorithm: OpaquePointer? = EVP_MD_fetch(nil, "SHA2-256", nil)

  private var context = Context()

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    if !isKnownUniquelyReferenced(&context) { context = Context(of: context) }
    guard let pointer = context.pointer else { return }
    if EVP_DigestUpdate(pointer, bytes.baseAddress, bytes.count) != 1 { context.close() }
  }

  mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The hash of what came so far; more may follow. Nil if there was no memory.
  func hash() -> [UInt8]? {
    let copy = Context(of: context)
    guard let pointer = copy.pointer else { return nil }
    var result = [UInt8](repeating: 0, count: Self.octets)
    return withExtendedLifetime(copy) { EVP_DigestFinal_ex(pointer, &result, nil) } == 1 ? result : nil
  }
}

/// A key of OpenSSL, public or with its private half.
// Sendable: it is never changed once it is made, and OpenSSL counts its references with care for threads; each operation has a
// context of its own.
final class OpenSSLKey: @unchecked Sendable {
  enum Kind: Hashable, Sendable { case rsa, ed25519 }

  let kind: Kind
  /// Of an RSA key's modulus; 256 for Ed25519.
  let bits: Int
  private let pointer: OpaquePointer

  /// Owns `pointer`, which it frees, also if it is no key of the two kinds.
  private init?(owning pointer: OpaquePointer?) {
    guard let pointer else { return nil }
    switch EVP_PKEY_get_base_id(pointer) {
    case EVP_PKEY_RSA: kind = .rsa
    case EVP_PKEY_ED25519: kind = .ed25519
    default:
      EVP_PKEY_free(pointer)
      return nil
    }
    self.pointer = pointer
    bits = Int(EVP_PKEY_get_bits(pointer))
  }

  deinit { EVP_PKEY_free(pointer) }

  // MARK: Made and read

  /// A new RSA key with its private half; nil if OpenSSL can't.
  static func makeRSA(bits: Int) -> OpenSSLKey? {
    make(EVP_PKEY_RSA) { EVP_PKEY_CTX_set_rsa_keygen_bits($0, CInt(clamping: bits)) > 0 }
  }

  /// A new Ed25519 key with its private half; nil if OpenSSL can't.
  static func makeEd25519() -> OpenSSLKey? { make(EVP_PKEY_ED25519) { _ in true } }

  private static func make(_ id: CInt, setUp: (OpaquePointer) -> Bool) -> OpenSSLKey? {
    defer { ERR_clear_error() }
    guard let context = EVP_PKEY_CTX_new_id(id, nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    var made: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, setUp(context), EVP_PKEY_keygen(context, &made) == 1 else { return nil }
    return OpenSSLKey(owning: made)
  }

  /// A private key as PEM: PKCS#8 or the older form of its kind. Nil if it is another, broken, or wants a passphrase.
  static func readPEM(_ text: [UInt8]) -> OpenSSLKey? {
    defer { ERR_clear_error() }
    return text.withUnsafeBytes { bytes in
      guard let memory = BIO_new_mem_buf(bytes.baseAddress, CInt(clamping: bytes.count)) else { return nil }
      defer { BIO_free(memory) }
      // Without the closure a key with a passphrase would ask the terminal for it.
      return OpenSSLKey(owning: PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in -1 }, nil))
    }
  }

  /// An Ed25519 key from its 32 octets (RFC 8032, 5.1.5).
  static func readEd25519(privateKey: [UInt8]) -> OpenSSLKey? {
    defer { ERR_clear_error() }
    return OpenSSLKey(owning: EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, privateKey, privateKey.count))
  }

  /// An Ed25519 public key from its 32 octets (RFC 8032, 5.1.2).
  static func readEd25519(publicKey: [UInt8]) -> OpenSSLKey? {
    defer { ERR_clear_error() }
    return OpenSSLKey(owning: EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, publicKey, publicKey.count))
  }

  /// An RSA public key as DER of RSAPublicKey (RFC 8017, A.1.1), and nothing behind it.
  static func readRSA(publicKey: ArraySlice<UInt8>) -> OpenSSLKey? {
    defer { ERR_clear_error() }
    return publicKey.withUnsafeBufferPointer { bytes in
      guard let start = bytes.baseAddress else { return nil }
      var position: UnsafePointer<UInt8>? = start
      let key = OpenSSLKey(owning: d2i_PublicKey(EVP_PKEY_RSA, nil, &position, bytes.count))
      return position == start + bytes.count && key?.kind == .rsa ? key : nil
    }
  }

  // MARK: Written

  /// The private key as PEM of PKCS#8 (RFC 5958).
  func privatePEM() -> [UInt8]? {
    defer { ERR_clear_error() }
    guard let memory = BIO_new(BIO_s_mem()) else { return nil }
    defer { BIO_free(memory) }
    guard PEM_write_bio_PKCS8PrivateKey(memory, pointer, nil, nil, 0, nil, nil) == 1 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = BIO_read(memory, &bytes, CInt(bytes.count))
    return count > 0 ? Array(bytes.prefix(Int(count))) : nil
  }

  /// What a key record publishes: SubjectPublicKeyInfo for RSA, the 32 octets for Ed25519 (RFC 8463, 4.2).
  func publicOctets() -> [UInt8]? {
    defer { ERR_clear_error() }
    switch kind {
    case .rsa:
      let count = i2d_PUBKEY(pointer, nil)
      guard count > 0 else { return nil }
      var bytes = [UInt8](repeating: 0, count: Int(count))
      let written = bytes.withUnsafeMutableBufferPointer { buffer in
        var position = buffer.baseAddress
        return i2d_PUBKEY(pointer, &position)
      }
      return written == count ? bytes : nil
    case .ed25519:
      var bytes = [UInt8](repeating: 0, count: 32)
      var count = bytes.count
      return EVP_PKEY_get_raw_public_key(pointer, &bytes, &count) == 1 && count == 32 ? bytes : nil
    }
  }

  /// Bits of an RSA key's public exponent; 0 for others.
  var exponentBits: Int {
    defer { ERR_clear_error() }
    var number: OpaquePointer?
    guard kind == .rsa, EVP_PKEY_get_bn_param(pointer, "e", &number) == 1 else { return 0 }
    defer { BN_free(number) }
    return Int(BN_num_bits(number))
  }

  // MARK: Signatures

  /// The signature of a SHA-256 hash: RSASSA-PKCS1-v1_5 (RFC 8017, 8.2), or Ed25519 over the hash (RFC 8463, 3).
  func sign(hash: [UInt8]) -> [UInt8]? {
    defer { ERR_clear_error() }
    var signature = [UInt8](repeating: 0, count: max(Int(EVP_PKEY_get_size(pointer)), 0))
    var count = signature.count
    let isSigned =
      switch kind {
      case .rsa: withRSA(EVP_PKEY_sign_init) { EVP_PKEY_sign($0, &signature, &count, hash, hash.count) }
      case .ed25519: withEd25519(EVP_DigestSignInit) { EVP_DigestSign($0, &signature, &count, hash, hash.count) }
      }
    return isSigned && count <= signature.count ? Array(signature.prefix(count)) : nil
  }

  /// Whether `signature` is this key's for a SHA-256 hash.
  func verify(_ signature: [UInt8], hash: [UInt8]) -> Bool {
    defer { ERR_clear_error() }
    return switch kind {
    case .rsa: withRSA(EVP_PKEY_verify_init) { EVP_PKEY_verify($0, signature, signature.count, hash, hash.count) }
    case .ed25519:
      withEd25519(EVP_DigestVerifyInit) { EVP_DigestVerify($0, signature, signature.count, hash, hash.count) }
    }
  }

  private func withRSA(_ start: (OpaquePointer?) -> CInt, _ body: (OpaquePointer) -> CInt) -> Bool {
    guard let context = EVP_PKEY_CTX_new(pointer, nil) else { return false }
    defer { EVP_PKEY_CTX_free(context) }
    return start(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0
      && EVP_PKEY_CTX_set_signature_md(context, SHA256.algorithm) > 0 && body(context) == 1
  }

  private typealias EdInit = (
    OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?, OpaquePointer?, OpaquePointer?, OpaquePointer?
  ) -> CInt

  private func withEd25519(_ start: EdInit, _ body: (OpaquePointer) -> CInt) -> Bool {
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    return start(context, nil, nil, nil, pointer) == 1 && body(context) == 1
  }
}
