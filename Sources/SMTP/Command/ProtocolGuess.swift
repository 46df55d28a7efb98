import Bytes
import NIOCore

/// Recognises what is not SMTP by its first bytes (HOSTILE 8 and 13). HTTP is looked for in every line: a browser that is made to talk to
/// a mail port sends the command of its attacker further down.
public enum ProtocolGuess {
  /// The content type of a TLS handshake record (RFC 8446, 5.1); no command begins with it.
  static let tlsHandshake: UInt8 = 0x16

  /// The first 12 bytes of a PROXY header of version 2.
  static let proxySignature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

  enum Answer {
    case yes, no
    /// More bytes will tell.
    case perhaps
  }

  /// Whether a PROXY header of version 2 stands at the beginning.
  static func startsProxyHeader(_ input: ByteBuffer) -> Answer {
    input.withUnsafeReadableBytes { bytes in
      let count = min(bytes.count, proxySignature.count)
      guard bytes.prefix(count).elementsEqual(proxySignature.prefix(count)) else { return .no }
      return count == proxySignature.count ? .yes : .perhaps
    }
  }

  /// What a whole line (without its ending) betrays.
  static func foreign(_ line: [UInt8]) -> ForeignProtocol? {
    var cursor = ByteCursor(line)
    let word = cursor.takeRange(atMost: 8) { $0.isASCIILetter }
    switch cursor.peek {
    case UInt8(ascii: "-"): return cursor[word].equals(ignoringCase: "SSH") ? .ssh : nil
    case UInt8(ascii: " "): break
    default: return nil
    }
    let verb = cursor[word]
    if verb.equals(ignoringCase: "PROXY") { return .proxy }
    guard verb.count >= 3 else { return nil }
    for index in Self.httpMethods.indices where verb.equals(ignoringCase: Self.httpMethods[index]) { return .http }
    return nil
  }

  private static let httpMethods: [StaticString] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE"]

  /// What the bytes of a client that talks before it was greeted begin with; nil if it could be SMTP.
  public static func foreign(in input: ByteBuffer) -> ForeignProtocol? {
    let start = Array(input.readableBytesView.prefix(16))
    if start.first == tlsHandshake { return .tls }
    if start.starts(with: proxySignature) { return .proxy }
    return foreign(start)
  }
}
