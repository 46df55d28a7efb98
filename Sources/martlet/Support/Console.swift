import Glibc
import MartletServer

/// Plain lines on the process's own streams.
///
/// A stream whose reader is gone loses its lines and nothing else: the supervisor must go on when its journal is restarted.
enum Console {
  static func say(_ line: String) { try? ConsoleOutput.writeAll(Array((line + "\n").utf8), to: STDOUT_FILENO) }
  static func error(_ line: String) { try? ConsoleOutput.writeAll(Array((line + "\n").utf8), to: STDERR_FILENO) }
}
