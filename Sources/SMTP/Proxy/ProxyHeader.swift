import NIOCore
import Outside

/// What a PROXY header says (HAProxy's PROXY protocol, versions 1 and 2): who the peer behind the proxy is.
public enum ProxyHeader: Hashable, Sendable {
  /// A proxied connection.
  case proxied(source: Endpoint, destination: Endpoint)
  /// The proxy speaks for itself (v2 LOCAL, v1 UNKNOWN, v2 UNSPEC): the connection's own endpoints hold.
  case local

  /// Octets of a v1 line with its CRLF: 107.
  public static let maximumLineOctets = 107
  /// Octets behind the fixed 16 of a v2 header, addresses and TLVs: 2,048; a header may announce 65,535.
  public static let maximumPayloadOctets = 2_048

  /// Takes a header from the beginning of `input`; nil if more bytes are needed. On an error nothing is consumed: close without a
  /// reply (HOSTILE 13).
  public static func take(from input: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? { nil }
}

/// Why bytes are no PROXY header.
public enum ProxyHeaderError: Error, Hashable, Sendable {
  case malformed
  case tooLong
}
