import Foundation
import Glibc
import MartletServer

/// What must be there before root is given up.
enum DataFolder {
  /// Makes the data folder (mode 0700) and those above it. Their names are durable when this returns: without them a power cut would
  /// take everything in them.
  static func make(_ path: String) throws(AdminFailure) {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else { throw AdminFailure("the data folder \(path) is not a folder", exitCode: 78) }
      return
    }
    let there = Self.firstPresent(above: path)
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw AdminFailure("the data folder \(path) can't be made: \(error.localizedDescription)", exitCode: 73)
    }
    var folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    while true {
      try sync(folder.path)
      guard folder.path != there, folder.path != "/" else { return }
      folder.deleteLastPathComponent()
    }
  }

  /// The nearest folder above `path` that is there already.
  private static func firstPresent(above path: String) -> String {
    var folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    while folder.path != "/", access(folder.path, F_OK) != 0 { folder.deleteLastPathComponent() }
    return folder.path
  }

  private static func sync(_ folder: String) throws(AdminFailure) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // A folder that may be entered but not read can't be synced; nothing else can be done about it.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
      throw AdminFailure("the folder \(folder) can't be written: \(String(cString: strerror(errno)))", exitCode: 73)
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
