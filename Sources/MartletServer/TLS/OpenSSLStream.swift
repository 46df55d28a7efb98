import COpenSSL
import NIOCore
import Outside

/// One side of one TLS connection, without a socket: ciphertext in and out, plaintext in and out.
///
/// OpenSSL reads ciphertext straight from `incoming` and writes straight to `outgoing` through a BIO of our own, so bytes are
/// copied once each way.
///
/// - Confinement: the thread of the connection's loop only.
final class OpenSSLStream {
  enum Progress: Hashable {
    case wantsMore
    case done
    case failed(String)
  }

  /// What reading plaintext came to.
  enum ReadEnd: Hashable {
    /// All ciphertext that came is used up.
    case wantsMore
    /// The peer said close_notify: no more will come, and what still does is ignored.
    case closed
    case failed(String)
  }

  /// Ciphertext that is to be sent.
  fileprivate(set) var outgoing = ByteBuffer()
  fileprivate var incoming = ByteBuffer()
  private let ssl: OpaquePointer
  private let role: TLSRequest.Role
  private var isSettled = false
  private var isFinished = false

  /// Makes a side; nil without memory, or for a context of the other side or another library.
  init?(_ request: TLSRequest) {
    guard let context = request.context as? OpenSSLContext, let ssl = context.makeSession() else { return nil }
    self.ssl = ssl
    self.role = request.role
    guard let method = StreamBIO.method.pointer, let bio = BIO_new(method) else {
      SSL_free(ssl)
      return nil
    }
    SSL_set_bio(ssl, bio, bio)
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    switch role {
    case .server:
      guard context.isServer else { return nil }
      SSL_set_accept_state(ssl)
    case .client(let serverName, let verifyName):
      guard !context.isServer, prepareClient(serverName: serverName, verifyName: verifyName) else { return nil }
    }
  }

  deinit {
    SSL_free(ssl)
  }

  private func prepareClient(serverName: String?, verifyName: String?) -> Bool {
    SSL_set_connect_state(ssl)
    // RFC 6066, 3: never an address.
    if let serverName, IPAddress(serverName) == nil {
      let status = serverName.withCString {
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), UnsafeMutableRawPointer(mutating: $0))
      }
      guard status == 1 else { return false }
    }
    SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    if let name = verifyName ?? serverName {
      let status = IPAddress(name) == nil ? SSL_set1_host(ssl, name) : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name)
      guard status == 1 else { return false }
    }
    if verifyName != nil {
      SSL_set_verify(ssl, SSL_VERIFY_PEER, nil)
    } else {
      // The chain is judged and told all the same. Weak keys and hashes of old hosts are better than clear text.
      SSL_set_verify(ssl, SSL_VERIFY_NONE, nil)
      SSL_set_security_level(ssl, 1)
    }
    return true
  }

  /// Adds ciphertext from the peer.
  func receive(_ bytes: ByteBuffer) {
    guard !isFinished else { return }
    if incoming.readableBytes == 0 {
      incoming = bytes
    } else {
      var more = bytes
      incoming.writeBuffer(&more)
    }
  }

  /// Takes what is to be sent; empty if there is nothing.
  func takeOutgoing() -> ByteBuffer {
    let bytes = outgoing
    outgoing = ByteBuffer()
    return bytes
  }

  /// Goes on with the handshake as far as the ciphertext reaches.
  func handshake() -> Progress {
    guard !isFinished else { return .failed("closed") }
    OpenSSLErrors.clear()
    let status = SSL_do_handshake(ssl)
    if status == 1 {
      isSettled = true
      return .done
    }
    switch SSL_get_error(ssl, status) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantsMore
    default:
      isFinished = true
      return .failed(failure())
    }
  }

  /// Decrypts all that came and appends it to `plain`.
  func read(into plain: inout ByteBuffer) -> ReadEnd {
    guard !isFinished else { return .closed }
    while true {
      OpenSSLErrors.clear()
      // One record is at most 16 KiB of plaintext; more room than its ciphertext is never needed.
      let room = min(max(incoming.readableBytes + Int(SSL_pending(ssl)), 256), 16_384)
      var count = 0
      var status: Int32 = 0
      plain.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { bytes in
        status = SSL_read_ex(ssl, bytes.baseAddress, bytes.count, &count)
        return status == 1 ? count : 0
      }
      if status == 1 { continue }
      switch SSL_get_error(ssl, status) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantsMore
      case SSL_ERROR_ZERO_RETURN:
        incoming = ByteBuffer()
        return .closed
      default:
        isFinished = true
        return .failed(failure())
      }
    }
  }

  /// Encrypts all of `plain`.
  ///
  /// - Returns: false if the connection can't be written to any more.
  func write(_ plain: ByteBuffer) -> Bool {
    guard isSettled, !isFinished else { return false }
    var rest = plain.readableBytesView
    // A record a 16 KiB, each with 22 octets and a tag around it.
    outgoing.reserveCapacity(minimumWritableBytes: rest.count + (rest.count / 16_384 + 1) * 64)
    while !rest.isEmpty {
      OpenSSLErrors.clear()
      var count = 0
      let status = rest.withUnsafeBytes { SSL_write_ex(ssl, $0.baseAddress, $0.count, &count) }
      guard status == 1, count > 0 else {
        isFinished = true
        OpenSSLErrors.clear()
        return false
      }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// Says close_notify, once.
  func shutdown() {
    guard isSettled, !isFinished else { return }
    OpenSSLErrors.clear()
    _ = SSL_shutdown(ssl)
    OpenSSLErrors.clear()
  }

  /// What was agreed on. Meaningful once the handshake is done.
  func facts() -> TLSFacts {
    let version = SSL_get_version(ssl).map { String(cString: $0) } ?? ""
    let cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)).map { String(cString: $0) } ?? ""
    switch role {
    case .server:
      let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
      return TLSFacts(version: version, cipher: cipher, serverName: name)
    case .client(let serverName, let verifyName):
      var problem: String?
      let result = SSL_get_verify_result(ssl)
      if SSL_get0_peer_certificate(ssl) == nil {
        problem = "no certificate"
      } else if result != Int(X509_V_OK) {
        problem = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? "error \(result)"
      } else if (verifyName ?? serverName) == nil {
        problem = "no name to check"
      }
      return TLSFacts(
        version: version, cipher: cipher, serverName: serverName, isPeerVerified: problem == nil, verificationProblem: problem)
    }
  }

  private func failure() -> String {
    let result = SSL_get_verify_result(ssl)
    let reason = OpenSSLErrors.take("the connection broke")
    guard case .client(_, .some) = role, result != Int(X509_V_OK), let text = X509_verify_cert_error_string(result) else {
      return reason
    }
    return "\(reason): \(String(cString: text))"
  }
}

/// The BIO through which OpenSSL reads a stream's `incoming` and writes its `outgoing`.
private enum StreamBIO {
  /// Made once and never changed; that is what makes `@unchecked Sendable` true.
  struct Method: @unchecked Sendable {
    let pointer: OpaquePointer?
  }

  static let method: Method = {
    let index = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let method = BIO_meth_new(index, "martlet stream") else { return Method(pointer: nil) }
    BIO_meth_set_write_ex(method) { bio, bytes, count, written in StreamBIO.write(bio, bytes, count, written) }
    BIO_meth_set_read_ex(method) { bio, bytes, count, taken in StreamBIO.read(bio, bytes, count, taken) }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    BIO_meth_set_create(method) { bio in
      BIO_set_init(bio, 1)
      return 1
    }
    return Method(pointer: method)
  }()

  /// The stream outlives its `SSL`, which outlives the BIO, so the pointer is good in every call.
  private static func stream(of bio: OpaquePointer?) -> OpenSSLStream? {
    guard let data = BIO_get_data(bio) else { return nil }
    return Unmanaged<OpenSSLStream>.fromOpaque(data).takeUnretainedValue()
  }

  private static func write(
    _ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int, _ written: UnsafeMutablePointer<Int>?
  ) -> Int32 {
    guard let stream = stream(of: bio), let bytes else { return 0 }
    stream.outgoing.writeBytes(UnsafeRawBufferPointer(start: bytes, count: count))
    written?.pointee = count
    return 1
  }

  private static func read(
    _ bio: OpaquePointer?, _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, _ taken: UnsafeMutablePointer<Int>?
  ) -> Int32 {
    let retryFlags: Int32 = 0x0F
    let retryRead: Int32 = 0x09
    BIO_clear_flags(bio, retryFlags)
    guard let stream = stream(of: bio), let bytes else { return 0 }
    let available = min(stream.incoming.readableBytes, count)
    guard available > 0 else {
      BIO_set_flags(bio, retryRead)
      return 0
    }
    stream.incoming.readWithUnsafeReadableBytes { source in
      UnsafeMutableRawPointer(bytes).copyMemory(from: source.baseAddress ?? UnsafeRawPointer(bytes), byteCount: available)
      return available
    }
    if stream.incoming.readableBytes == 0 { stream.incoming = ByteBuffer() }
    taken?.pointee = available
    return 1
  }
}
