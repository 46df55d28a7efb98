import CSQLite
import Outside

/// What SQLite calls on an open file.
enum VFSFileCalls {
  /// The one table of methods, made at first use and kept for ever.
  ///
  /// `@unchecked Sendable`: written once before it is published, then only read.
  final class Methods: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<sqlite3_io_methods>

    init() {
      pointer = .allocate(capacity: 1)
      var methods = sqlite3_io_methods()
      // Version 2: shared memory for WAL, no memory-mapped reading.
      methods.iVersion = 2
      VFSFileCalls.setBytes(&methods)
      VFSFileCalls.setLocks(&methods)
      pointer.initialize(to: methods)
    }
  }

  static let methods = Methods()

  private static func file(_ file: UnsafeMutablePointer<sqlite3_file>?) -> VFSFile? {
    guard let file else { return nil }
    let record = UnsafeMutableRawPointer(file).assumingMemoryBound(to: VFSFileRecord.self)
    return record.pointee.file.map { Unmanaged<VFSFile>.fromOpaque($0).takeUnretainedValue() }
  }

  private static func setBytes(_ methods: inout sqlite3_io_methods) {
    methods.xClose = { VFSFileCalls.close($0) }
    methods.xRead = { pointer, target, count, offset in VFSFileCalls.read(pointer, target, count, offset) }
    methods.xWrite = { pointer, source, count, offset in
      guard let file = VFSFileCalls.file(pointer), let source else { return VFSCode.write }
      let bytes = [UInt8](UnsafeRawBufferPointer(start: source, count: Int(count)))
      return VFSFileCalls.code(VFSCode.write) { () throws(DiskError) in
        try file.owner.disk.write(file.file, file.path, bytes, at: Int(offset))
      }
    }
    methods.xTruncate = { pointer, size in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.truncate }
      return VFSFileCalls.code(VFSCode.truncate) { () throws(DiskError) in
        try file.owner.disk.truncate(file.file, file.path, to: Int(size))
      }
    }
    methods.xSync = { pointer, _ in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.sync }
      return VFSFileCalls.code(VFSCode.sync) { () throws(DiskError) in
        try file.owner.disk.sync(file.file, file.path)
        guard file.syncsFolder else { return }
        try file.owner.disk.syncFolder(DiskImage.folder(of: file.path))
        file.syncsFolder = false
      }
    }
    methods.xFileSize = { pointer, size in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.size }
      size?.pointee = sqlite3_int64(file.owner.disk.size(file.file))
      return SQLITE_OK
    }
    methods.xFileControl = { _, operation, argument in
      // Kept after the last connection has closed, so that no WAL is removed behind the recording's back.
      guard operation == SQLITE_FCNTL_PERSIST_WAL, let argument else { return SQLITE_NOTFOUND }
      argument.assumingMemoryBound(to: Int32.self).pointee = 1
      return SQLITE_OK
    }
    methods.xSectorSize = { _ in 4_096 }
    methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
  }

  private static func setLocks(_ methods: inout sqlite3_io_methods) {
    methods.xLock = { pointer, level in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.lock }
      return file.owner.shared.withLock { $0.lock(file.path, file.id, level) } ? SQLITE_OK : SQLITE_BUSY
    }
    methods.xUnlock = { pointer, level in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.unlock }
      file.owner.shared.withLock { $0.unlock(file.path, file.id, level) }
      return SQLITE_OK
    }
    methods.xCheckReservedLock = { pointer, result in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.checkReservedLock }
      result?.pointee = file.owner.shared.withLock { $0.isReserved(file.path) } ? 1 : 0
      return SQLITE_OK
    }
    methods.xShmMap = { pointer, number, size, extend, out in
      guard let file = VFSFileCalls.file(pointer) else { return VFSCode.sharedMap }
      file.usesSharedMemory = true
      let address = file.owner.shared.withLock {
        $0.region(file.path, file.id, Int(number), size: Int(size), extend: extend != 0).map { UInt(bitPattern: $0) }
      }
      out?.pointee = address.flatMap { UnsafeMutableRawPointer(bitPattern: $0) }
      return SQLITE_OK
    }
    methods.xShmLock = { pointer, first, count, flags in
      guard let file = VFSFileCalls.file(pointer), first >= 0, count > 0, first + count <= 8 else { return VFSCode.sharedLock }
      let mask = (UInt32(1) << UInt32(first + count)) - (UInt32(1) << UInt32(first))
      return file.owner.shared.withLock { $0.slots(file.path, file.id, mask: mask, flags: flags) } ? SQLITE_OK : SQLITE_BUSY
    }
    // The lock of `shared` has ordered everything that came before.
    methods.xShmBarrier = { pointer in VFSFileCalls.file(pointer)?.owner.shared.withLock { _ in } }
    methods.xShmUnmap = { pointer, _ in
      guard let file = VFSFileCalls.file(pointer) else { return SQLITE_OK }
      file.owner.shared.withLock { $0.leave(file.path, file.id) }
      return SQLITE_OK
    }
  }

  private static func close(_ pointer: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
    guard let pointer else { return SQLITE_OK }
    let record = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: VFSFileRecord.self)
    guard let opaque = record.pointee.file else { return SQLITE_OK }
    let file = Unmanaged<VFSFile>.fromOpaque(opaque).takeRetainedValue()
    record.pointee.file = nil
    file.owner.shared.withLock { shared in
      shared.unlock(file.path, file.id, SQLITE_LOCK_NONE)
      if file.usesSharedMemory { shared.leave(file.path, file.id) }
    }
    if file.isDeletedOnClose { try? file.owner.disk.remove(file.path) }
    return SQLITE_OK
  }

  private static func read(
    _ pointer: UnsafeMutablePointer<sqlite3_file>?, _ target: UnsafeMutableRawPointer?, _ count: Int32, _ offset: sqlite3_int64
  ) -> Int32 {
    guard let file = VFSFileCalls.file(pointer), let target, count > 0 else { return VFSCode.read }
    let buffer = UnsafeMutableRawBufferPointer(start: target, count: Int(count))
    do {
      let found = try file.owner.disk.read(file.file, file.path, at: Int(offset), into: buffer)
      guard found < Int(count) else { return SQLITE_OK }
      // SQLite wants the rest zeroed.
      UnsafeMutableRawBufferPointer(rebasing: buffer[found...]).initializeMemory(as: UInt8.self, repeating: 0)
      return VFSCode.shortRead
    } catch {
      return VFSCode.read
    }
  }

  /// What SQLite is told about the outcome of `body`.
  private static func code(_ failure: Int32, _ body: () throws(DiskError) -> Void) -> Int32 {
    do {
      try body()
      return SQLITE_OK
    } catch {
      return error.kind == .full ? SQLITE_FULL : failure
    }
  }
}
