import Bytes
import Outside

/// A mailbox address (RFC 5321, 4.1.2 `Mailbox`; RFC 6531, 3.3), or the bare `<postmaster>` (RFC 5321, 4.5.1).
public struct EmailAddress: Hashable, Sendable {
  /// The local part with quotes and backslashes resolved: `a b` for `"a b"@example.org`. As given: only the host of the domain
  /// may change it. Empty only for `""@example.org`.
  public let localPart: String

  /// The domain in lower case as given (A-labels or U-labels), an address literal with its brackets (`[127.0.0.1]`), or empty
  /// for the bare `postmaster`.
  public let domain: String

  /// From parts already known to be valid.
  public init(localPart: String, domain: String) {
    self.localPart = localPart
    self.domain = domain.asciiLowercased
  }
}
