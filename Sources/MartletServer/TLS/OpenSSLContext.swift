import COpenSSL
import Glibc
import Outside
import Synchronization

/// Keys, certificates and rules of one side of TLS, for OpenSSL.
///
/// TLS 1.2 and 1.3 (RFC 8996 forbids older ones), only ciphers with forward secrecy, the server's order, no compression, no
/// renegotiation, no early data. A server's tickets resume sessions; nothing is cached in memory.
///
/// A context may be replaced while it is used (`reload`): connections that stand keep the old one.
public final class OpenSSLContext: TLSContext {
  /// Whose certificates a client believes.
  public enum Trust: Hashable, Sendable {
    /// The system's store.
    case system
    /// A PEM file of roots.
    case file(String)
  }

  /// An `SSL_CTX`, freed when nobody uses it any more.
  ///
  /// After it was set up it is only read, and OpenSSL counts references and guards its own parts; that is what makes
  /// `@unchecked Sendable` true.
  private final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { SSL_CTX_free(pointer) }
  }

  /// The least version that is spoken.
  public enum Version: Hashable, Sendable {
    case tls12
    case tls13

    fileprivate var number: Int { self == .tls12 ? Int(TLS1_2_VERSION) : Int(TLS1_3_VERSION) }
  }

  private struct State {
    var handle: Handle
    var expiry: Timestamp?
  }

  let isServer: Bool
  private let state: Mutex<State>

  private init(isServer: Bool, state: State) {
    self.isServer = isServer
    self.state = Mutex(state)
  }

  /// A server's: its certificate with the chain, the leaf first, and its key, both PEM.
  ///
  /// An expired certificate is taken (`expiry` says so): most senders of mail don't look, and no mail at all is worse.
  public static func server(
    certificate: String, key: String, minimumVersion: Version = .tls12
  ) throws(TLSSetupError) -> OpenSSLContext {
    OpenSSLContext(isServer: true, state: try loadServer(certificate: certificate, key: key, minimumVersion))
  }

  /// A client's. Whether the peer must prove its name is said by each request (`verifyName`).
  public static func client(trust: Trust = .system) throws(TLSSetupError) -> OpenSSLContext {
    let handle = try make(TLS_client_method())
    let context = handle.pointer
    OpenSSLErrors.clear()
    switch trust {
    case .system:
      guard SSL_CTX_set_default_verify_paths(context) == 1 else {
        throw TLSSetupError(file: "the system's certificate store", reason: OpenSSLErrors.take("can't be used"))
      }
    case .file(let path):
      try checkReadable(path)
      guard SSL_CTX_load_verify_file(context, path) == 1 else {
        throw TLSSetupError(file: path, reason: OpenSSLErrors.take("no certificates"))
      }
    }
    _ = SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    return OpenSSLContext(isServer: false, state: State(handle: handle))
  }

  /// Takes a new certificate and key for connections from now on. If they don't load, don't fit, or have expired, it throws
  /// and the old ones stay (HOSTILE 64).
  public func reload(
    certificate: String, key: String, minimumVersion: Version = .tls12, now: Timestamp
  ) throws(TLSSetupError) {
    let new = try Self.loadServer(certificate: certificate, key: key, minimumVersion)
    if let expiry = new.expiry, expiry < now {
      throw TLSSetupError(file: certificate, reason: "the certificate has expired")
    }
    state.withLock { $0 = new }
  }

  /// When the server's certificate ends; nil for a client's context.
  public var expiry: Timestamp? {
    state.withLock { $0.expiry }
  }

  /// A new `SSL` of this context, or nil without memory.
  func makeSession() -> OpaquePointer? {
    let handle = state.withLock { $0.handle }
    return withExtendedLifetime(handle) { SSL_new(handle.pointer) }
  }

  // MARK: Setting up

  private static func make(_ method: OpaquePointer?) throws(TLSSetupError) -> Handle {
    OpenSSLErrors.clear()
    guard let context = SSL_CTX_new(method) else {
      throw TLSSetupError(file: "OpenSSL", reason: OpenSSLErrors.take("no context"))
    }
    let handle = Handle(context)
    _ = SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    let noCompression: UInt64 = 1 << 17
    let serverPreference: UInt64 = 1 << 22
    let noRenegotiation: UInt64 = 1 << 30
    SSL_CTX_set_options(context, noCompression | serverPreference | noRenegotiation)
    // Partial writes need no retry with the same buffer; idle connections give their record buffers back.
    let modes = SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS
    _ = SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(modes), nil)
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS")
    // A key that asks for a passphrase fails instead of asking the terminal.
    SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
    return handle
  }

  private static func loadServer(certificate: String, key: String, _ minimum: Version) throws(TLSSetupError) -> State {
    let handle = try make(TLS_server_method())
    let context = handle.pointer
    _ = SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, minimum.number, nil)
    try checkReadable(certificate)
    OpenSSLErrors.clear()
    guard SSL_CTX_use_certificate_chain_file(context, certificate) == 1 else {
      throw TLSSetupError(file: certificate, reason: OpenSSLErrors.take("no certificate"))
    }
    try checkReadable(key)
    guard SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1, SSL_CTX_check_private_key(context) == 1 else {
      let reason = OpenSSLErrors.take("no private key")
      let isForeign = reason.contains("values mismatch") || reason.contains("types mismatch")
      throw TLSSetupError(file: key, reason: isForeign ? "the key does not belong to the certificate in \(certificate)" : reason)
    }
    OpenSSLErrors.clear()
    _ = SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
    let name: [UInt8] = Array("martlet".utf8)
    SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
    SSL_CTX_set_num_tickets(context, 1)
    _ = SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 1, nil)
    return State(handle: handle, expiry: expiry(of: context))
  }

  private static func expiry(of context: OpaquePointer) -> Timestamp? {
    guard let certificate = SSL_CTX_get0_certificate(context), let end = X509_get0_notAfter(certificate) else { return nil }
    var time = tm()
    guard ASN1_TIME_to_tm(end, &time) == 1 else { return nil }
    return Timestamp(seconds: Int64(timegm(&time)))
  }

  private static func checkReadable(_ path: String) throws(TLSSetupError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TLSSetupError(file: path, reason: String(cString: strerror(errno))) }
    close(descriptor)
  }
}

/// Why certificates or keys can't be used.
public struct TLSSetupError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, or what else is at fault.
  public var file: String
  public var reason: String

  public var description: String { "\(file): \(reason)" }
}
