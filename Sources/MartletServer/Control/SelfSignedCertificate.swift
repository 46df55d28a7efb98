import COpenSSL
import Glibc
import Outside

/// A certificate that vouches for itself: for demonstrations, and to begin with. P-256, valid for 30 days.
public enum SelfSignedCertificate {
  /// Seconds from now to its end.
  private static let validity = 30 * 86_400

  /// Makes a key and a certificate for `name` and writes both as PEM, mode 0600. Existing files are not replaced.
  public static func write(for name: String, certificate: String, key: String, random: some RandomSource) throws(AdminFailure) {
    guard let pair = makeKey() else { throw AdminFailure("a key for TLS can't be made") }
    defer { EVP_PKEY_free(pair) }
    guard let signed = makeCertificate(name, pair, serial: random.next() >> 1) else {
      throw AdminFailure("a certificate for \(name) can't be made")
    }
    defer { X509_free(signed) }
    try put(try pem { PEM_write_bio_PrivateKey($0, pair, nil, nil, 0, nil, nil) }, to: key)
    try put(try pem { PEM_write_bio_X509($0, signed) }, to: certificate)
  }

  private static func makeKey() -> OpaquePointer? {
    guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1 else {
      return nil
    }
    var pair: OpaquePointer?
    return EVP_PKEY_keygen(context, &pair) == 1 ? pair : nil
  }

  private static func makeCertificate(_ name: String, _ pair: OpaquePointer, serial: UInt64) -> OpaquePointer? {
    guard let certificate = X509_new() else { return nil }
    let subject = X509_get_subject_name(certificate)
    let isMade =
      X509_set_version(certificate, 2) == 1
      && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial) == 1
      && X509_gmtime_adj(X509_getm_notBefore(certificate), -3_600) != nil
      && X509_gmtime_adj(X509_getm_notAfter(certificate), validity) != nil
      && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1
      && X509_set_issuer_name(certificate, subject) == 1
      && X509_set_pubkey(certificate, pair) == 1
      && add(NID_subject_alt_name, "DNS:\(name),DNS:localhost,IP:127.0.0.1", to: certificate)
      && X509_sign(certificate, pair, EVP_sha256()) > 0
    if isMade { return certificate }
    X509_free(certificate)
    return nil
  }

  private static func add(_ kind: CInt, _ value: String, to certificate: OpaquePointer) -> Bool {
    guard let field = X509V3_EXT_conf_nid(nil, nil, kind, value) else { return false }
    defer { X509_EXTENSION_free(field) }
    return X509_add_ext(certificate, field, -1) == 1
  }

  private static func pem(_ body: (OpaquePointer) -> CInt) throws(AdminFailure) -> [UInt8] {
    guard let memory = BIO_new(BIO_s_mem()) else { throw AdminFailure("no memory for PEM") }
    defer { BIO_free(memory) }
    guard body(memory) == 1 else { throw AdminFailure("PEM can't be written") }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = BIO_read(memory, &bytes, CInt(bytes.count))
    return Array(bytes.prefix(max(0, Int(count))))
  }

  private static func put(_ bytes: [UInt8], to path: String) throws(AdminFailure) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw AdminFailure("can't make \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    try ConsoleOutput.writeAll(bytes, to: descriptor)
  }
}
