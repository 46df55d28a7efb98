import NIOCore
import Outside

/// One side of an SMTP conversation of somebody who is not Martlet: lines in, bytes out.
struct Talk {
  let connection: Connection
  let clock: any Clock
  /// How long a line is waited for.
  var patience = Duration.seconds(600)

  func say(_ text: String) { connection.output.writeString(text + "\r\n") }

  /// The next line without its end; nil if none comes.
  func line() async -> String? {
    let deadline = clock.monotonic().advanced(by: patience)
    while true {
      let view = connection.input.readableBytesView
      if let end = view.firstIndex(of: 0x0A) {
        let length = end - view.startIndex + 1
        guard let text = connection.input.readString(length: length) else { return nil }
        return String(text.dropLast(text.hasSuffix("\r\n") ? 1 : 1))
      }
      if connection.isClosed { return nil }
      guard await connection.receive(until: deadline) == .data else { return nil }
    }
  }

  /// So many octets; nil if they don't come.
  func octets(_ count: Int) async -> [UInt8]? {
    let deadline = clock.monotonic().advanced(by: patience)
    while connection.input.readableBytes < count {
      if connection.isClosed { return nil }
      guard await connection.receive(until: deadline) == .data else { return nil }
    }
    return connection.input.readBytes(length: count)
  }

  /// The last line of the next reply; nil if the connection broke.
  func reply() async -> String? {
    while let line = await line() {
      if line.utf8.count < 4 || line.utf8.dropFirst(3).first != 0x2D { return line }
    }
    return nil
  }

  /// Says a command; the reply to it.
  func ask(_ command: String) async -> String? {
    say(command)
    return await reply()
  }
}
