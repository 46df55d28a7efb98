import Glibc
import Outside
import Synchronization

/// The real disk: files below the data folder, through the kernel.
///
/// Files are made with mode 0600, folders with 0700, descriptors are closed on exec, a name that is a symbolic link is not followed.
/// Every call is tried again after EINTR, short writes are continued. It blocks: for workers only.
public struct KernelDisk: Disk {
  /// The data folder, without a slash at the end.
  public let folder: String

  public init(folder: String) { self.folder = folder }

  public func open(_ path: String, create: Bool, exclusive: Bool) throws(DiskError) -> any DiskFile {
    var flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW
    if create { flags |= O_CREAT }
    if create && exclusive { flags |= O_EXCL }
    let descriptor = retrying { Glibc.open(full(path), flags, 0o600) }
    guard descriptor >= 0 else { throw DiskError(errno: errno, operation: "open", path: path) }
    return KernelFile(descriptor: descriptor, path: path)
  }

  public func list(_ folder: String) throws(DiskError) -> [String] {
    guard let stream = opendir(full(folder)) else { throw DiskError(errno: errno, operation: "list", path: folder) }
    defer { closedir(stream) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw DiskError(errno: errno, operation: "list", path: folder) }
    return names.sorted()
  }

  public func makeFolder(_ path: String) throws(DiskError) {
    var parent = folder
    for level in [""] + path.split(separator: "/").map(String.init) {
      parent = level.isEmpty ? parent : "\(parent)/\(level)"
      guard mkdir(parent, 0o700) == 0 || errno == EEXIST else { throw DiskError(errno: errno, operation: "mkdir", path: path) }
    }
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    guard Glibc.rename(full(from), full(to)) == 0 else { throw DiskError(errno: errno, operation: "rename", path: from) }
  }

  public func remove(_ path: String) throws(DiskError) {
    guard unlink(full(path)) == 0 else { throw DiskError(errno: errno, operation: "remove", path: path) }
  }

  public func syncFolder(_ path: String) throws(DiskError) {
    let descriptor = retrying { Glibc.open(full(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw DiskError(errno: errno, operation: "open folder", path: path) }
    defer { _ = Glibc.close(descriptor) }
    guard retrying({ fsync(descriptor) }) == 0 else { throw DiskError(errno: errno, operation: "sync folder", path: path) }
  }

  public func freeBytes() throws(DiskError) -> UInt64 {
    var facts = statvfs()
    guard statvfs(folder, &facts) == 0 else { throw DiskError(errno: errno, operation: "statvfs", path: folder) }
    return UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize)).partialValue
  }

  private func full(_ path: String) -> String { path.isEmpty ? folder : "\(folder)/\(path)" }
}

/// A file of the kernel. The descriptor lives as long as the object, so a reader on another thread never meets a reused number;
/// `close` only refuses further calls.
final class KernelFile: DiskFile {
  private let descriptor: Int32
  private let path: String
  private let isClosed = Atomic<Bool>(false)

  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { _ = Glibc.close(descriptor) }

  func read(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
    let start = try position(offset, "read")
    // Nothing a file does not hold is set aside for it.
    let left = try size().subtractingReportingOverflow(offset)
    let wanted = left.overflow ? 0 : min(max(count, 0), Int(clamping: left.partialValue))
    guard wanted > 0 else { return [] }
    var problem: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
      filled = 0
      while filled < wanted {
        let got = pread(descriptor, buffer.baseAddress.map { $0 + filled }, wanted - filled, start + off_t(filled))
        if got < 0 && errno == EINTR { continue }
        if got < 0 { problem = errno }
        if got <= 0 { break }
        filled += got
      }
    }
    guard problem == 0 else { throw DiskError(errno: problem, operation: "read", path: path) }
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
    let start = try position(offset, "write")
    var problem: Int32 = 0
    bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let put = pwrite(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, start + off_t(done))
        if put < 0 && errno == EINTR { continue }
        if put <= 0 {
          problem = put < 0 ? errno : EIO
          return
        }
        done += put
      }
    }
    guard problem == 0 else { throw DiskError(errno: problem, operation: "write", path: path) }
  }

  func sync() throws(DiskError) {
    _ = try position(0, "sync")
    guard retrying({ fdatasync(descriptor) }) == 0 else { throw DiskError(errno: errno, operation: "sync", path: path) }
  }

  func size() throws(DiskError) -> UInt64 {
    _ = try position(0, "size")
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw DiskError(errno: errno, operation: "size", path: path) }
    return UInt64(clamping: facts.st_size)
  }

  func truncate(to size: UInt64) throws(DiskError) {
    let end = try position(size, "truncate")
    guard retrying({ ftruncate(descriptor, end) }) == 0 else { throw DiskError(errno: errno, operation: "truncate", path: path) }
  }

  func close() { isClosed.store(true, ordering: .releasing) }

  /// `offset` as the kernel takes it, if the file is open.
  private func position(_ offset: UInt64, _ operation: String) throws(DiskError) -> off_t {
    guard !isClosed.load(ordering: .acquiring) else { throw DiskError(errno: EBADF, operation: operation, path: path) }
    guard let position = off_t(exactly: offset), position < off_t.max / 2 else {
      throw DiskError(errno: EFBIG, operation: operation, path: path)
    }
    return position
  }
}

/// Calls again while the call is interrupted.
private func retrying(_ call: () -> Int32) -> Int32 {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

extension DiskError {
  init(errno: Int32, operation: String, path: String) {
    let kind: Kind =
      switch errno {
      case ENOSPC, EDQUOT: .full
      case ENOENT: .notFound
      case EEXIST: .exists
      case EMFILE, ENFILE: .tooManyOpen
      default: .failed
      }
    self.init(kind, operation: operation, path: path, errno: errno)
  }
}
