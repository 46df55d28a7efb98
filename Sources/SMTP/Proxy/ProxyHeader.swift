import Bytes
import NIOCore
import Outside

/// What a PROXY header says (HAProxy's PROXY protocol, versions 1 and 2): who the peer behind the proxy is.
///
/// Only from configured addresses, before anything else is read or written. Total and bounded; TLVs are skipped, not read.
public enum ProxyHeader: Hashable, Sendable {
  /// A proxied connection.
  case proxied(source: Endpoint, destination: Endpoint)
  /// The proxy speaks for itself (v2 LOCAL, v1 UNKNOWN, v2 UNSPEC): the connection's own endpoints hold.
  case local

  /// Octets of a v1 line with its CRLF: 107.
  public static let maximumLineOctets = 107
  /// Octets behind the fixed 16 of a v2 header, addresses and TLVs together: 2,048, of the 65,535 that a header could announce.
  public static let maximumPayloadOctets = 2_048

  /// Takes a header from the beginning of `input`, and nothing behind it; nil if more bytes are needed. On an error nothing is
  /// consumed: close without a reply (HOSTILE 13).
  public static func take(from input: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
    switch ProtocolGuess.startsProxyHeader(input) {
    case .yes: return try ProxyHeaderV2.take(from: &input)
    case .perhaps: return nil
    case .no: return try ProxyHeaderV1.take(from: &input)
    }
  }
}

/// Why bytes are no PROXY header.
public enum ProxyHeaderError: Error, Hashable, Sendable {
  case malformed
  /// More than `maximumLineOctets` or `maximumPayloadOctets`.
  case tooLong
}

extension ProxyHeaderError: CustomStringConvertible {
  /// In words, for the log.
  public var description: String {
    switch self {
    case .malformed: "not a PROXY header"
    case .tooLong: "the PROXY header is too long"
    }
  }
}
