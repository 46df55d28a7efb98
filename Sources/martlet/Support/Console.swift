import Foundation

/// Plain lines on the process's own streams.
enum Console {
  static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
  static func error(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }
}
