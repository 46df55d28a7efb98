import CSQLite
import Outside

/// What SQLite calls: the VFS itself. The file's own calls are in `VFSFileCalls`.
enum VFSCalls {
  /// The structure of the VFS that `owner` (a `RecordingVFS`, unretained) stands behind.
  static func structure(name: UnsafePointer<CChar>, owner: UnsafeMutableRawPointer) -> sqlite3_vfs {
    var vfs = sqlite3_vfs()
    vfs.iVersion = 2
    vfs.szOsFile = Int32(MemoryLayout<VFSFileRecord>.size)
    vfs.mxPathname = 512
    vfs.zName = name
    vfs.pAppData = owner
    vfs.xOpen = { vfs, path, file, flags, outFlags in VFSCalls.open(vfs, path, file, flags, outFlags) }
    vfs.xDelete = { vfs, path, syncs in VFSCalls.delete(vfs, path, syncsFolder: syncs != 0) }
    vfs.xAccess = { vfs, path, _, result in
      guard let vfs = VFSCalls.owner(vfs), let path else { return SQLITE_IOERR }
      // As on Linux: an empty file counts as none.
      result?.pointee = vfs.disk.exists(String(cString: path)).map { vfs.disk.size($0) > 0 ? 1 : 0 } ?? 0
      return SQLITE_OK
    }
    vfs.xFullPathname = { _, path, count, out in
      guard let path, let out else { return SQLITE_CANTOPEN }
      let bytes = Array(String(cString: path).utf8CString)
      guard bytes.count <= Int(count) else { return SQLITE_CANTOPEN }
      out.update(from: bytes, count: bytes.count)
      return SQLITE_OK
    }
    vfs.xRandomness = { vfs, count, out in
      guard let vfs = VFSCalls.owner(vfs), let out else { return 0 }
      for index in 0..<Int(max(count, 0)) { out[index] = CChar(truncatingIfNeeded: vfs.random.next()) }
      return count
    }
    vfs.xSleep = { _, microseconds in microseconds }
    vfs.xCurrentTime = { vfs, result in
      guard let vfs = VFSCalls.owner(vfs) else { return SQLITE_ERROR }
      result?.pointee = Double(VFSCalls.julianMilliseconds(vfs)) / 86_400_000
      return SQLITE_OK
    }
    vfs.xCurrentTimeInt64 = { vfs, result in
      guard let vfs = VFSCalls.owner(vfs) else { return SQLITE_ERROR }
      result?.pointee = VFSCalls.julianMilliseconds(vfs)
      return SQLITE_OK
    }
    vfs.xGetLastError = { _, _, _ in 0 }
    return vfs
  }

  static func owner(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> RecordingVFS? {
    vfs?.pointee.pAppData.map { Unmanaged<RecordingVFS>.fromOpaque($0).takeUnretainedValue() }
  }

  private static func julianMilliseconds(_ vfs: RecordingVFS) -> sqlite3_int64 {
    vfs.clock.now().microseconds / 1_000 + 210_866_760_000_000
  }

  private static func open(
    _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?,
    _ flags: Int32,
    _ outFlags: UnsafeMutablePointer<Int32>?
  ) -> Int32 {
    guard let owner = owner(vfs), let file else { return SQLITE_CANTOPEN }
    file.pointee.pMethods = nil
    let name = path.map { String(cString: $0) } ?? "temporary-\(owner.random.next())"
    let isNew = owner.disk.exists(name) == nil
    do {
      let id = try owner.disk.openFile(name, create: flags & SQLITE_OPEN_CREATE != 0, exclusive: flags & SQLITE_OPEN_EXCLUSIVE != 0)
      let isJournal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL) != 0
      let opened = VFSFile(
        owner: owner, file: id, path: name, syncsFolder: isNew && isJournal,
        isDeletedOnClose: flags & SQLITE_OPEN_DELETEONCLOSE != 0)
      UnsafeMutableRawPointer(file).assumingMemoryBound(to: VFSFileRecord.self).pointee.file = Unmanaged.passRetained(opened)
        .toOpaque()
      file.pointee.pMethods = UnsafePointer(VFSFileCalls.methods.pointer)
      outFlags?.pointee = flags
      return SQLITE_OK
    } catch {
      return error.kind == .full ? SQLITE_FULL : SQLITE_CANTOPEN
    }
  }

  private static func delete(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ path: UnsafePointer<CChar>?, syncsFolder: Bool) -> Int32 {
    guard let owner = VFSCalls.owner(vfs), let path else { return VFSCode.delete }
    let name = String(cString: path)
    do {
      try owner.disk.remove(name)
      if syncsFolder { try owner.disk.syncFolder(DiskImage.folder(of: name)) }
      return SQLITE_OK
    } catch {
      return error.kind == .notFound ? VFSCode.deleteNotFound : VFSCode.delete
    }
  }
}

/// SQLite's file structure with ours behind it.
struct VFSFileRecord {
  var base: sqlite3_file
  /// A retained `VFSFile`.
  var file: UnsafeMutableRawPointer?
}

/// An open file. Used by one connection, and so by one thread at a time.
final class VFSFile {
  let owner: RecordingVFS
  let file: DiskImage.FileID
  let path: String
  /// A new journal's name is made durable with its first sync.
  var syncsFolder: Bool
  let isDeletedOnClose: Bool
  var usesSharedMemory = false

  init(owner: RecordingVFS, file: DiskImage.FileID, path: String, syncsFolder: Bool, isDeletedOnClose: Bool) {
    self.owner = owner
    self.file = file
    self.path = path
    self.syncsFolder = syncsFolder
    self.isDeletedOnClose = isDeletedOnClose
  }

  var id: ObjectIdentifier { ObjectIdentifier(self) }
}
