import Glibc

/// One process owns the store: an advisory lock on a file that says who.
///
/// The lock is the kernel's (`flock`), so it ends with the process however that ends; the text in the file is for people.
final class StoreLock: Sendable {
  private let descriptor: Int32

  /// Takes the lock; `unavailable`, naming the holder, while another process has it.
  init(path: String) throws(StoreError) {
    let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else { throw .unavailable("the lock \(path) can't be opened: \(String(cString: strerror(errno)))") }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      let holder = Self.text(opened)
      close(opened)
      throw .unavailable("the store is in use by \(holder.isEmpty ? "another process" : holder)")
    }
    var name = [UInt8](repeating: 0, count: 256)
    name.withUnsafeMutableBytes { bytes in
      if let start = bytes.baseAddress { _ = gethostname(start.assumingMemoryBound(to: CChar.self), 255) }
    }
    let host = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    let text = Array("process \(getpid()) on \(host)\n".utf8)
    _ = ftruncate(opened, 0)
    _ = text.withUnsafeBytes { pwrite(opened, $0.baseAddress, $0.count, 0) }
    descriptor = opened
  }

  deinit { close(descriptor) }

  private static func text(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 300)
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    let line = bytes.prefix(max(count, 0)).prefix { $0 >= 0x20 && $0 < 0x7F }
    return String(decoding: line, as: UTF8.self)
  }
}
