import InternetMessage
import MailModel
import Outside
import SMTP

/// Who speaks to us, as far as decisions and the trace care. A proxy's or XCLIENT's word is taken only from configured addresses.
public struct Client: Hashable, Sendable {
  /// The client's own address, behind a proxy the proxied one.
  public var remote: Endpoint
  public var local: Endpoint
  /// May relay anywhere (`[trust] networks`).
  public var isTrusted: Bool
  /// Must begin with a PROXY header (`[trust] proxy`).
  public var isProxy: Bool
  public var mayUseXCLIENT: Bool
  /// A PROXY header described it.
  public var cameByProxy = false
  /// From EHLO, HELO, LHLO or XCLIENT, as given; never with control characters.
  public var heloName = ""
  /// What XCLIENT says the client called itself; goes before what the peer calls itself.
  public var namedHelo: String?
  /// What XCLIENT says the client spoke: ESMTP, or SMTP.
  public var namedExtended: Bool?
  /// The client's host name, only if XCLIENT gave it.
  public var hostName: String?
  public var tls: TLSFacts?
  /// RFC 3848 keyword of the transaction.
  public var protocolKeyword = "SMTP"

  /// It is on this machine, behind a Unix socket.
  public var isLocal: Bool {
    if case .unix = remote { return true }
    return false
  }

  /// The address as text, `unix` for a Unix socket.
  public var addressText: String {
    switch remote {
    case .ip(let address, _): address.description
    case .unix: "unix"
    }
  }

  /// The address as an RFC 5321, 4.1.3 literal: `[192.0.2.1]`, `[IPv6:2001:db8::1]`; plain words for a Unix socket, which has none.
  var bracketedText: String {
    switch remote {
    case .ip(let address, _): address.isIPv4 ? "[\(address)]" : "[IPv6:\(address)]"
    case .unix: "Unix socket"
    }
  }
}
