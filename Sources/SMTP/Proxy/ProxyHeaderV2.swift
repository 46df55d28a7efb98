import NIOCore
import Outside

/// The binary header (PROXY protocol, 2.2): signature, version and command, family, length, addresses, TLVs.
enum ProxyHeaderV2 {
  private static let fixedOctets = 16

  static func take(from input: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
    var reader = input
    reader.moveReaderIndex(forwardBy: ProtocolGuess.proxySignature.count)
    guard let versionAndCommand = reader.readInteger(as: UInt8.self) else { return nil }
    guard versionAndCommand >> 4 == 2, versionAndCommand & 15 <= 1 else { throw .malformed }
    guard let family = reader.readInteger(as: UInt8.self) else { return nil }
    guard family >> 4 <= 3, family & 15 <= 2 else { throw .malformed }
    guard let length = reader.readInteger(as: UInt16.self) else { return nil }
    guard Int(length) <= ProxyHeader.maximumPayloadOctets else { throw .tooLong }
    guard var payload = reader.readSlice(length: Int(length)) else { return nil }
    let header: ProxyHeader
    // 2.2: LOCAL (0) is the proxy's own connection; the addresses are skipped.
    if versionAndCommand & 15 == 0 {
      header = .local
    } else {
      header = try endpoints(family, &payload)
    }
    input.moveReaderIndex(forwardBy: fixedOctets + Int(length))
    return header
  }

  private static func endpoints(_ family: UInt8, _ payload: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader {
    switch family {
    case 0x11: try internet(4, &payload)
    case 0x21: try internet(16, &payload)
    case 0x31: try unix(&payload)
    // Unspecified: the receiver uses the connection's endpoints. Datagrams carry no SMTP.
    case 0x00: .local
    default: throw .malformed
    }
  }

  private static func internet(_ octets: Int, _ payload: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader {
    guard let source = payload.readBytes(length: octets).flatMap(IPAddress.init(bytes:)),
      let destination = payload.readBytes(length: octets).flatMap(IPAddress.init(bytes:)),
      let sourcePort = payload.readInteger(as: UInt16.self), let destinationPort = payload.readInteger(as: UInt16.self)
    else { throw .malformed }
    return .proxied(source: .ip(source, port: sourcePort), destination: .ip(destination, port: destinationPort))
  }

  private static func unix(_ payload: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader {
    let octets = 108
    guard let source = payload.readBytes(length: octets), let destination = payload.readBytes(length: octets) else {
      throw .malformed
    }
    return .proxied(source: .unix(path: path(source)), destination: .unix(path: path(destination)))
  }

  /// Up to the first NUL.
  private static func path(_ bytes: [UInt8]) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
}
