import Foundation
import NIOCore
import Outside

/// What travels over the control socket, both ways: a kind, a length, a payload.
///
///     +------+----------------+---------+
///     | kind | length, 4 oct. | payload |
///     +------+----------------+---------+
///
/// Total and bounded: a frame longer than `longest`, of an unknown kind or with a broken payload is an error, never a trap.
enum ControlFrame: Hashable, Sendable {
  /// Client: what to do; the first frame.
  case request(Request)
  /// Client: a piece of standard input.
  case input([UInt8])
  /// Client: that was all of it.
  case endOfInput
  case text([UInt8], AdminStream)
  case progress(AdminProgress)
  /// Server: text that takes the place of the last such.
  case page(String)
  case file(FileAction)
  /// Server: the last frame. The message stands on standard error, if there is one.
  case exit(code: UInt8, message: String)

  struct Request: Hashable, Sendable, Codable {
    /// The words behind `martlet`.
    var words: [String]
    /// Identifier of the zone in which the person reads times.
    var timeZone: String
  }

  struct Problem: Error, Hashable, CustomStringConvertible {
    var description: String
  }

  /// Octets of a payload: 1 MiB.
  static let longest = 1 << 20
  static let headerLength = 5

  private struct Begin: Codable {
    var path: String
    var modified: Int64?
  }

  /// Takes the next whole frame; nil if it has not all come yet.
  static func take(from buffer: inout ByteBuffer) throws(Problem) -> ControlFrame? {
    guard let kind: UInt8 = buffer.getInteger(at: buffer.readerIndex),
      let announced: UInt32 = buffer.getInteger(at: buffer.readerIndex + 1)
    else { return nil }
    guard let length = Int(exactly: announced), length <= longest else {
      throw Problem(description: "a frame of \(announced) bytes; at most \(longest) are allowed")
    }
    guard buffer.readableBytes >= headerLength + length else { return nil }
    buffer.moveReaderIndex(forwardBy: headerLength)
    let payload = buffer.readBytes(length: length) ?? []
    return try decode(kind, payload)
  }

  private static func decode(_ kind: UInt8, _ payload: [UInt8]) throws(Problem) -> ControlFrame {
    switch kind {
    case 1: return .request(try json(payload))
    case 2: return .input(payload)
    case 3: return .endOfInput
    case AdminStream.output.rawValue: return .text(payload, .output)
    case AdminStream.error.rawValue: return .text(payload, .error)
    case 18: return .progress(try json(payload))
    case 19: return .file(.folder(path: String(decoding: payload, as: UTF8.self)))
    case 20:
      let begin: Begin = try json(payload)
      return .file(.begin(path: begin.path, modified: begin.modified.map { Timestamp(microseconds: $0) }))
    case 21: return .file(.data(payload))
    case 22: return .file(.end)
    case 24: return .page(String(decoding: payload, as: UTF8.self))
    case 23: return .exit(code: payload.first ?? 1, message: String(decoding: payload.dropFirst(), as: UTF8.self))
    default: throw Problem(description: "a frame of the unknown kind \(kind)")
    }
  }

  private static func json<Value: Decodable>(_ payload: [UInt8]) throws(Problem) -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(payload))
    } catch {
      throw Problem(description: "a frame that can't be read: \(error)")
    }
  }

  /// Appends the frame; longer payloads than `longest` are cut into several frames where that means the same.
  func write(to buffer: inout ByteBuffer) {
    switch self {
    case .request(let request): Self.put(1, Self.encoded(request), &buffer)
    case .input(let bytes): Self.putPieces(2, bytes, &buffer)
    case .endOfInput: Self.put(3, [], &buffer)
    case .text(let bytes, let stream): Self.putPieces(stream.rawValue, bytes, &buffer)
    case .progress(let progress): Self.put(18, Self.encoded(progress), &buffer)
    case .page(let text): Self.put(24, text.utf8.prefix(Self.longest), &buffer)
    case .file(.folder(let path)): Self.put(19, Array(path.utf8), &buffer)
    case .file(.begin(let path, let modified)):
      Self.put(20, Self.encoded(Begin(path: path, modified: modified?.microseconds)), &buffer)
    case .file(.data(let bytes)): Self.putPieces(21, bytes, &buffer)
    case .file(.end): Self.put(22, [], &buffer)
    case .exit(let code, let message): Self.put(23, [code] + message.utf8.prefix(Self.longest - 1), &buffer)
    }
  }

  private static func encoded(_ value: some Encodable) -> [UInt8] { (try? JSONEncoder().encode(value)).map(Array.init) ?? [] }

  private static func putPieces(_ kind: UInt8, _ bytes: [UInt8], _ buffer: inout ByteBuffer) {
    var rest = bytes[...]
    repeat {
      put(kind, rest.prefix(longest), &buffer)
      rest = rest.dropFirst(longest)
    } while !rest.isEmpty
  }

  private static func put(_ kind: UInt8, _ payload: some Collection<UInt8>, _ buffer: inout ByteBuffer) {
    buffer.writeInteger(kind)
    buffer.writeInteger(UInt32(clamping: payload.count))
    buffer.writeBytes(payload)
  }
}
