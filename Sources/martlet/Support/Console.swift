import Glibc

/// Plain lines on the process's own streams.
///
/// A stream whose reader is gone loses its lines and nothing else: the supervisor must go on when its journal is restarted.
enum Console {
  static func say(_ line: String) { write(line, to: STDOUT_FILENO) }
  static func error(_ line: String) { write(line, to: STDERR_FILENO) }

  private static func write(_ line: String, to descriptor: CInt) {
    var rest = Array((line + "\n").utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
    }
  }
}
