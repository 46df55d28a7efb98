import Configuration
import Logging
import Outside
import Synchronization

/// The server's certificate, and what it believes of others.
final class TLSContexts: Sendable {
  private let current: Mutex<OpenSSLContext?>
  /// For listeners; nil without `[tls]`.
  var server: OpenSSLContext? { current.withLock { $0 } }
  /// For connections to next hops.
  let client: OpenSSLContext

  init(_ configuration: Configuration, clock: any Clock, log: Logger) throws(TLSSetupError) {
    client = try OpenSSLContext.client()
    guard let section = configuration.tls else {
      current = Mutex(nil)
      return
    }
    let context = try OpenSSLContext.server(
      certificate: section.certificate, key: section.key, minimumVersion: Self.version(section))
    if let expiry = context.expiry, expiry < clock.now() {
      log.error("the TLS certificate has expired", metadata: ["file": "\(section.certificate)"])
    }
    current = Mutex(context)
  }

  /// Takes the certificate again, for connections from now on; a bad one throws and changes nothing.
  func reload(_ configuration: Configuration, clock: any Clock) throws(TLSSetupError) {
    guard let section = configuration.tls else { return current.withLock { $0 = nil } }
    if let server {
      try server.reload(
        certificate: section.certificate, key: section.key, minimumVersion: Self.version(section), now: clock.now())
    } else {
      let made = try OpenSSLContext.server(
        certificate: section.certificate, key: section.key, minimumVersion: Self.version(section))
      current.withLock { $0 = made }
    }
  }

  private static func version(_ section: Configuration.TLS) -> OpenSSLContext.Version {
    section.minimumVersion == .tls13 ? .tls13 : .tls12
  }
}
