import Bytes
import Outside

/// `host`, `host:port`, `[v6]` or `[v6]:port`, split but not judged.
struct HostAndPort: Hashable, Sendable {
  var host: String
  var port: UInt16?
  var isBracketed: Bool

  /// Octets that fit into a Unix socket's address (`sun_path` with its NUL).
  static let longestSocketPath = 107

  init?(_ text: String) {
    let bytes = Array(text.utf8)
    var host: ArraySlice<UInt8>
    var rest: ArraySlice<UInt8>
    if bytes.first == 0x5B {
      guard let end = bytes.firstIndex(of: 0x5D) else { return nil }
      host = bytes[1..<end]
      rest = bytes[(end + 1)...]
      guard host.contains(0x3A) else { return nil }
    } else {
      let end = bytes.firstIndex(of: 0x3A) ?? bytes.endIndex
      host = bytes[..<end]
      rest = bytes[end...]
    }
    guard !host.isEmpty else { return nil }
    self.isBracketed = bytes.first == 0x5B
    self.host = String(decoding: host, as: UTF8.self)
    guard !rest.isEmpty else { return }
    var cursor = ByteCursor(Array(rest))
    guard cursor.take(0x3A), let number = cursor.takeDecimal(digits: 5, maximum: 65_535), cursor.isAtEnd else { return nil }
    self.port = UInt16(truncatingIfNeeded: number)
  }

  /// Whether `text` is a domain name of letters, digits and hyphens (RFC 1123, 2.1), at most 253 octets, labels at most 63.
  static func isDomainName(_ text: String) -> Bool {
    guard text.utf8.count <= 253 else { return false }
    let labels = text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
    for label in labels {
      guard !label.isEmpty, label.count <= 63, label.first != 0x2D, label.last != 0x2D else { return false }
      // An underscore is no host name's character, but is seen in names of internal next hops.
      guard label.allSatisfy({ $0.isASCIIAlphanumeric || $0 == 0x2D || $0 == 0x5F }) else { return false }
    }
    // All digits at the end would be a mistyped address.
    guard let last = labels.last else { return false }
    return !last.allSatisfy(\.isASCIIDigit)
  }

  /// An endpoint to listen on: an address (or `localhost`) with its port, or `unix:/path`.
  static func listenEndpoint(_ text: String) -> Endpoint? {
    if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard path.hasPrefix("/"), path.utf8.count <= longestSocketPath, !path.utf8.contains(0) else { return nil }
      return .unix(path: path)
    }
    guard let parsed = HostAndPort(text), let port = parsed.port else { return nil }
    let host = parsed.host.asciiLowercased == "localhost" ? "127.0.0.1" : parsed.host
    guard let address = IPAddress(host) else { return nil }
    return .ip(address, port: port)
  }
}
