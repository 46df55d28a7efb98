import Bytes

/// How SMTP, IMAP, POP3 and ManageSieve write challenges and responses: a line of base64 (RFC 4954, 4; RFC 9051, 6.2.2; RFC 5034, 4).
public enum SASLWire {
  /// What a line says.
  public enum Line: Hashable, Sendable {
    case response([UInt8])
    /// `*`: the client gives up.
    case cancel
    /// Not base64, or longer than any response.
    case malformed
  }

  /// Reads the line that answers a challenge. An empty one is an empty response.
  public static func read(_ line: [UInt8], limits: SASLLimits = .init()) -> Line {
    if line == [0x2A] { return .cancel }
    guard line.count <= limits.responseLength, let bytes = Base64.decodeStrict(line) else { return .malformed }
    return .response(bytes)
  }

  /// Reads the initial response that stands in the command itself, where `=` means an empty one (RFC 4954, 4; RFC 4959, 3).
  public static func readInitial(_ word: [UInt8], limits: SASLLimits = .init()) -> Line {
    if word == [0x3D] { return .response([]) }
    guard !word.isEmpty, word != [0x2A] else { return .malformed }
    return read(word, limits: limits)
  }

  /// A challenge as it goes on the wire.
  public static func write(_ challenge: [UInt8]) -> [UInt8] { Base64.encode(challenge) }
}
