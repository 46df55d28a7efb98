import Glibc
import Outside

/// Makes the files of an export below one folder, with the rights of the person who asked.
///
/// The server only proposes names: a path that is absolute, empty or holds `..` is refused here. A file gets its name when it is
/// whole (written beside, then renamed), never replaces another, and carries the date it was given.
///
/// - Confinement: used by one task or thread, that of the command. That is what makes `@unchecked Sendable` true.
public final class FileSink: @unchecked Sendable {
  private let root: String
  private let isSingleFile: Bool
  private var descriptor: CInt = -1
  private var path = ""
  private var modified: Timestamp?

  /// Files below `root`. With `isSingleFile`, `root` is the file itself and every name stands for it.
  public init(root: String, isSingleFile: Bool = false) {
    self.root = root
    self.isSingleFile = isSingleFile
  }

  deinit { abandon() }

  /// Refuses a target that holds something already.
  public func checkEmpty() throws(AdminFailure) {
    var status = stat()
    guard stat(root, &status) == 0 else { return }
    if isSingleFile { throw AdminFailure("\(root) exists already; an export replaces nothing") }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw AdminFailure("\(root) is no folder") }
    guard let stream = opendir(root) else { throw failure("open", root) }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
      guard name == "." || name == ".." else { throw AdminFailure("\(root) is not empty; an export replaces nothing") }
    }
  }

  public func act(_ action: FileAction) throws(AdminFailure) {
    switch action {
    case .folder(let path): try makeFolders(try place(path))
    case .begin(let path, let modified): try begin(try place(path), modified)
    case .data(let bytes):
      guard descriptor >= 0 else { throw AdminFailure("data for no file") }
      try ConsoleOutput.writeAll(bytes, to: descriptor)
    case .end: try end()
    }
  }

  private func place(_ path: String) throws(AdminFailure) -> String {
    if isSingleFile { return root }
    let parts = path.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
    let isBad = path.hasPrefix("/") || path.utf8.contains(0) || parts.contains { $0.elementsEqual("..".utf8) }
    if isBad { throw AdminFailure("refused to write outside of \(root): \(path)") }
    return path.isEmpty ? root : root + "/" + path
  }

  private func makeFolders(_ path: String) throws(AdminFailure) {
    var index = path.index(path.startIndex, offsetBy: path.hasPrefix("/") ? 1 : 0)
    while index <= path.endIndex {
      let end = path[index...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<end])
      guard part.isEmpty || mkdir(part, 0o700) == 0 || errno == EEXIST else { throw failure("make the folder", part) }
      guard end < path.endIndex else { return }
      index = path.index(after: end)
    }
  }

  private var temporary: String { path + ".part" }

  private func begin(_ path: String, _ modified: Timestamp?) throws(AdminFailure) {
    guard descriptor < 0 else { throw AdminFailure("a file within a file") }
    self.path = path
    self.modified = modified
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw failure("make", temporary) }
  }

  private func end() throws(AdminFailure) {
    guard descriptor >= 0 else { throw AdminFailure("the end of no file") }
    if let modified {
      let time = timespec(tv_sec: Int(modified.seconds), tv_nsec: 0)
      _ = [time, time].withUnsafeBufferPointer { futimens(descriptor, $0.baseAddress) }
    }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw failure("write", temporary) }
    // `link` refuses to replace, `rename` would not; some file systems have no links.
    guard link(temporary, path) == 0 || (errno == EPERM && access(path, F_OK) != 0 && rename(temporary, path) == 0) else {
      let problem = failure("name", path)
      unlink(temporary)
      throw problem
    }
    unlink(temporary)
  }

  private func abandon() {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  private func failure(_ operation: String, _ path: String) -> AdminFailure {
    AdminFailure("can't \(operation) \(path): \(String(cString: strerror(errno)))")
  }
}
