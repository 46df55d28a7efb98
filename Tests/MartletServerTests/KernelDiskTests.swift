import Glibc
import MartletServer
import Outside
import Testing

@Suite("The kernel's disk")
struct KernelDiskTests {
  /// A folder of its own that goes with the value.
  final class Folder {
    let path: String
    init() throws {
      var template = Array("/tmp/martlet-disk-XXXXXX".utf8CString)
      path = try template.withUnsafeMutableBufferPointer { buffer in
        String(cString: try #require(buffer.baseAddress.flatMap { mkdtemp($0) }))
      }
    }
    deinit {
      for name in (try? KernelDisk(folder: path).list("inner")) ?? [] { unlink("\(path)/inner/\(name)") }
      rmdir("\(path)/inner")
      for name in (try? KernelDisk(folder: path).list("")) ?? [] { unlink("\(path)/\(name)") }
      rmdir(path)
    }
  }

  private func mode(_ path: String) -> mode_t {
    var facts = stat()
    return stat(path, &facts) == 0 ? facts.st_mode & 0o777 : 0
  }

  @Test("files are written, grown with zeros, read at the end, cut, renamed and removed")
  func files() throws {
    let folder = try Folder()
    let disk = KernelDisk(folder: folder.path)
    try disk.makeFolder("inner")
    try disk.makeFolder("inner")
    let file = try disk.open("inner/a", create: true, exclusive: true)
    try file.write([1, 2, 3], at: 10)
    try file.sync()
    #expect(try file.size() == 13)
    #expect(try file.read(at: 8, count: 100) == [0, 0, 1, 2, 3])
    #expect(try file.read(at: 13, count: 1) == [])
    #expect(try file.read(at: 1_000_000, count: 1) == [])
    #expect(try file.read(at: 0, count: -1) == [])
    try file.truncate(to: 11)
    #expect(try file.read(at: 10, count: 9) == [1])
    try disk.rename("inner/a", to: "inner/b")
    try disk.syncFolder("inner")
    #expect(try disk.list("inner") == ["b"])
    #expect(mode("\(folder.path)/inner/b") == 0o600)
    #expect(mode("\(folder.path)/inner") == 0o700)
    try disk.remove("inner/b")
    #expect(try disk.list("inner").isEmpty)
    #expect(try disk.freeBytes() > 0)
  }

  @Test("errors say what they are, and a closed file refuses")
  func errors() throws {
    let folder = try Folder()
    let disk = KernelDisk(folder: folder.path)
    #expect(throws: DiskError(.notFound, operation: "open", path: "a", errno: ENOENT)) {
      _ = try disk.open("a", create: false, exclusive: false)
    }
    let file = try disk.open("a", create: true, exclusive: true)
    #expect(throws: DiskError(.exists, operation: "open", path: "a", errno: EEXIST)) {
      _ = try disk.open("a", create: true, exclusive: true)
    }
    #expect(throws: DiskError.self) { try file.write([1], at: .max) }
    #expect(throws: DiskError.self) { _ = try file.read(at: .max, count: 1) }
    symlink("a", "\(folder.path)/link")
    #expect(throws: DiskError.self) { _ = try disk.open("link", create: false, exclusive: false) }
    file.close()
    #expect(throws: DiskError.self) { try file.sync() }
  }

  @Test("a full disk is told apart", .enabled(if: access("/dev/full", W_OK) == 0))
  func full() throws {
    let file = try KernelDisk(folder: "/dev").open("full", create: false, exclusive: false)
    #expect(throws: DiskError.self) { try file.write([1], at: 0) }
    do { try file.write([1], at: 0) } catch { #expect(error.kind == .full) }
  }
}
