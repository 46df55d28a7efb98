import Outside

extension Configuration {
  /// `[[listener]]`: one place where clients connect.
  public struct Listener: Hashable, Sendable {
    /// `protocol`: what is spoken there. Required.
    public enum Service: String, Hashable, Sendable, CaseIterable {
      case smtp
      case lmtp
    }

    /// `tls`
    public enum Security: String, Hashable, Sendable, CaseIterable {
      /// No TLS is offered.
      case none
      /// Offered by STARTTLS (RFC 3207).
      case starttls
      /// From the first byte.
      case implicit
    }

    /// `protocol`: `smtp` or `lmtp`. Required.
    public var service: Service
    /// `address`: `host:port`, `[v6]:port` or `unix:/path`; port 0 lets the system choose. Required.
    public var address: Endpoint
    /// `tls`: `none`, `starttls` or `implicit`. Default `starttls`; `none` without a `[tls]` section or on a Unix socket.
    public var security: Security
    /// The line of the file where it stands; 0 if it does not come from a file.
    public var line: Int

    public init(service: Service, address: Endpoint, security: Security, line: Int = 0) {
      self.service = service
      self.address = address
      self.security = security
      self.line = line
    }

    /// Protocols that have a name in the design but no listener in this release.
    static let laterServices = [
      "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https", "jmap",
    ]
  }
}
