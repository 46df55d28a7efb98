import Bytes
import Outside

extension Configuration {
  /// Where mail goes next, as a route names it: `smtp://host:port`, `smtps://`, `lmtp://`, `lmtp+unix:///path`.
  ///
  /// The port may be left out: 25 for `smtp`, 465 for `smtps`, 24 for `lmtp`. What else there is to say stands in the route's own
  /// keys; `Routing.NextHop` is both together.
  public struct NextHop: Hashable, Sendable, CustomStringConvertible {
    public enum Scheme: String, Hashable, Sendable {
      case smtp
      /// TLS from the first byte.
      case smtps
      case lmtp
    }

    public enum Place: Hashable, Sendable {
      /// A domain name in lower case.
      case name(String, port: UInt16)
      case address(IPAddress, port: UInt16)
      /// LMTP on a Unix socket.
      case unix(path: String)
    }

    public var scheme: Scheme
    public var place: Place

    public init(scheme: Scheme, place: Place) {
      self.scheme = scheme
      self.place = place
    }

    /// Reads one of the four forms; nil for anything else.
    public init?(_ text: String) {
      let forms: [(prefix: String, scheme: Scheme, port: UInt16)] = [
        ("smtp://", .smtp, 25), ("smtps://", .smtps, 465), ("lmtp://", .lmtp, 24),
      ]
      let lower = text.asciiLowercased
      if lower.hasPrefix("lmtp+unix://") {
        let path = String(text.dropFirst("lmtp+unix://".count))
        guard path.hasPrefix("/"), path.utf8.count <= HostAndPort.longestSocketPath else { return nil }
        self.init(scheme: .lmtp, place: .unix(path: path))
        return
      }
      guard let form = forms.first(where: { lower.hasPrefix($0.prefix) }) else { return nil }
      var rest = String(lower.dropFirst(form.prefix.count))
      if rest.hasSuffix("/") { rest.removeLast() }
      guard let parsed = HostAndPort(rest), parsed.port != 0 else { return nil }
      let port = parsed.port ?? form.port
      if let address = IPAddress(parsed.host) {
        self.init(scheme: form.scheme, place: .address(address, port: port))
      } else if !parsed.isBracketed, HostAndPort.isDomainName(parsed.host) {
        self.init(scheme: form.scheme, place: .name(parsed.host, port: port))
      } else {
        return nil
      }
    }

    /// The canonical form, port included. Reading it gives the same value.
    public var description: String {
      switch place {
      case .name(let name, let port): "\(scheme.rawValue)://\(name):\(port)"
      case .address(let address, let port):
        address.isIPv4 ? "\(scheme.rawValue)://\(address):\(port)" : "\(scheme.rawValue)://[\(address)]:\(port)"
      case .unix(let path): "lmtp+unix://\(path)"
      }
    }
  }
}
