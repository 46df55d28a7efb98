import Foundation
import Glibc
import MartletServer

/// What must be there before root is given up.
enum DataFolder {
  /// Makes the data folder (mode 0700) and those above it.
  static func make(_ path: String) throws(AdminFailure) {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw AdminFailure("the data folder \(path) is not a folder", exitCode: 78) }
      return
    }
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw AdminFailure("the data folder \(path) can't be made: \(error.localizedDescription)", exitCode: 73)
    }
  }

  /// Makes an empty log file that the server's user can append to.
  static func makeLog(_ path: String, user: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else {
      throw AdminFailure("can't open the log \(path): \(String(cString: strerror(errno)))", exitCode: 73)
    }
    close(descriptor)
    try Privileges.give(path, to: user)
  }
}
