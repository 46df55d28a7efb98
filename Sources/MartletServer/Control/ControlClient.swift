import Foundation
import Glibc
import NIOCore
import Outside

/// The command line's end of the control socket: sends a command's words, shows what comes back.
///
/// Blocking, for a process that does nothing else.
public struct ControlClient: ~Copyable {
  private let descriptor: CInt

  /// Connects; nil if nobody listens there.
  public init?(path: String) throws(AdminFailure) {
    guard let (family, address, length) = Endpoint.unix(path: path).socketAddressBytes else {
      throw AdminFailure("the path of the control socket is too long: \(path)")
    }
    let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw AdminFailure("can't make a socket: \(String(cString: strerror(errno)))") }
    let connected = address.withUnsafeBytes { bytes in
      bytes.baseAddress.map { connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self), length) } ?? -1
    }
    guard connected == 0 else {
      let code = errno
      close(descriptor)
      if code == ENOENT || code == ECONNREFUSED || code == ENOTDIR { return nil }
      let hint = code == EACCES ? " (the socket is for root and the server's user)" : ""
      throw AdminFailure("can't connect to \(path): \(String(cString: strerror(code)))\(hint)")
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// Runs a command in the server.
  ///
  /// - Returns: its exit code.
  public func run(_ words: [String], input: [UInt8], timeZone: String, output: ConsoleOutput) throws(AdminFailure) -> UInt8 {
    var outgoing = ByteBuffer()
    ControlFrame.request(.init(words: words, timeZone: timeZone)).write(to: &outgoing)
    if !input.isEmpty { ControlFrame.input(input).write(to: &outgoing) }
    ControlFrame.endOfInput.write(to: &outgoing)
    try ConsoleOutput.writeAll(Array(outgoing.readableBytesView), to: descriptor)

    var incoming = ByteBuffer()
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      while let frame = try Self.take(from: &incoming) {
        if let code = try show(frame, output) { return code }
      }
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw AdminFailure("the server went away before it answered", exitCode: 75) }
      incoming.discardReadBytes()
      incoming.writeBytes(chunk[..<count])
    }
  }

  private static func take(from buffer: inout ByteBuffer) throws(AdminFailure) -> ControlFrame? {
    do throws(ControlFrame.Problem) {
      return try ControlFrame.take(from: &buffer)
    } catch {
      throw AdminFailure("the server sent \(error)")
    }
  }

  /// - Returns: the exit code, with the last frame.
  private func show(_ frame: ControlFrame, _ output: ConsoleOutput) throws(AdminFailure) -> UInt8? {
    switch frame {
    case .text(let bytes, let stream): try output.put(bytes, to: stream)
    case .progress(let progress): output.show(progress)
    case .page(let text): try output.show(page: text)
    case .file(let action): try output.act(action)
    case .exit(let code, let message):
      if !message.isEmpty { try output.put(Array("martlet: \(message)\n".utf8), to: .error) }
      return code
    case .request, .input, .endOfInput: throw AdminFailure("the server sent a frame that only clients send")
    }
    return nil
  }
}
