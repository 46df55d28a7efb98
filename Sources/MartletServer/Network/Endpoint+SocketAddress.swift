import NIOCore
import Outside

extension Endpoint {
  /// What NIO says of a socket's end; nil if it can't say (the peer was gone before we asked).
  init?(_ address: SocketAddress?) {
    switch address {
    case .v4(let v4):
      let bytes = withUnsafeBytes(of: v4.address.sin_addr.s_addr) { Array($0) }
      guard let ip = IPAddress(bytes: bytes) else { return nil }
      self = .ip(ip, port: UInt16(bigEndian: v4.address.sin_port))
    case .v6(let v6):
      let bytes = withUnsafeBytes(of: v6.address.sin6_addr) { Array($0) }
      guard let ip = IPAddress(bytes: bytes) else { return nil }
      self = .ip(ip, port: UInt16(bigEndian: v6.address.sin6_port))
    case .unixDomainSocket:
      self = .unix(path: address?.pathname ?? "")
    case nil:
      return nil
    }
  }

  /// The same for NIO; nil for a path that is too long (107 bytes).
  var socketAddress: SocketAddress? {
    switch self {
    case .unix(let path): return try? SocketAddress(unixDomainSocketPath: path)
    case .ip(let ip, let port):
      return try? SocketAddress(packedIPAddress: ByteBuffer(bytes: ip.bytes), port: Int(port))
    }
  }
}
