import CSQLite
import Outside
import Synchronization

/// SQLite's view of a `FaultyDisk`: everything the database writes, syncs, renames and removes is recorded and can fail.
///
/// Open a database with the VFS's `name`; its path is a path of the disk. WAL works: the shared memory is heap memory of this VFS,
/// locks are kept within it. It behaves as SQLite's own VFS does on Linux: a file's writes are atomic by sector and harm no
/// neighbour, a journal's name is made durable with its first sync (the database file's name is not: that is its maker's duty).
///
/// Lifetime: it must outlive every connection opened through it. Limits: no memory-mapped reading, no dynamic loading.
public final class RecordingVFS: Sendable {
  /// What `sqlite3_open_v2` takes as the VFS.
  public let name: String
  public let disk: FaultyDisk
  let clock: any Clock
  let random: any RandomSource
  let shared = Mutex(VFSShared())
  private let registration: Registration

  private static let numbers = Atomic<Int>(0)

  /// Registers a VFS over `disk`.
  public init(disk: FaultyDisk, clock: any Clock, random: any RandomSource) {
    let name = "martlet-simulation-\(Self.numbers.add(1, ordering: .relaxed).newValue)"
    self.name = name
    self.disk = disk
    self.clock = clock
    self.random = random
    self.registration = Registration(name: name)
    registration.register(owner: Unmanaged.passUnretained(self).toOpaque())
  }

  deinit {
    registration.unregister()
    shared.withLock { $0.free() }
  }

  /// The C structure SQLite keeps a pointer to.
  ///
  /// `@unchecked Sendable`: the pointers are set in `init` and never changed; what they point to is written before the registration
  /// and freed after it has ended.
  private final class Registration: @unchecked Sendable {
    private let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    private let name: UnsafeMutablePointer<CChar>

    init(name: String) {
      let bytes = Array(name.utf8CString)
      self.name = .allocate(capacity: bytes.count)
      self.name.initialize(from: bytes, count: bytes.count)
    }

    func register(owner: UnsafeMutableRawPointer) {
      vfs.initialize(to: VFSCalls.structure(name: name, owner: owner))
      sqlite3_vfs_register(vfs, 0)
    }

    func unregister() {
      sqlite3_vfs_unregister(vfs)
      vfs.deallocate()
      name.deallocate()
    }
  }
}

/// What the connections to one disk share: locks and the WAL index of each database.
struct VFSShared {
  /// Lock levels by path, one for each open file.
  var levels: [String: [ObjectIdentifier: Int32]] = [:]
  var memory: [String: SharedMemory] = [:]

  struct SharedMemory: @unchecked Sendable {
    // `@unchecked Sendable`: reached under `RecordingVFS.shared` only; SQLite itself orders what it does in the regions.
    var regions: [UnsafeMutableRawPointer] = []
    var users: Set<ObjectIdentifier> = []
    /// Which of the eight slots each open file holds: shared and exclusive, as bit sets.
    var sharedSlots: [ObjectIdentifier: UInt32] = [:]
    var exclusiveSlots: [ObjectIdentifier: UInt32] = [:]
  }

  /// Raises the lock of `file` on `path` to `level`; false if another is in the way.
  mutating func lock(_ path: String, _ file: ObjectIdentifier, _ level: Int32) -> Bool {
    let others = levels[path, default: [:]].filter { $0.key != file }.values
    let highest = others.max() ?? SQLITE_LOCK_NONE
    let mine = levels[path]?[file] ?? SQLITE_LOCK_NONE
    guard level > mine else { return true }
    switch level {
    case SQLITE_LOCK_SHARED: guard highest < SQLITE_LOCK_PENDING else { return false }
    case SQLITE_LOCK_RESERVED: guard highest < SQLITE_LOCK_RESERVED else { return false }
    default:
      guard highest < SQLITE_LOCK_RESERVED else { return false }
      guard highest == SQLITE_LOCK_NONE else {
        levels[path, default: [:]][file] = SQLITE_LOCK_PENDING
        return false
      }
    }
    levels[path, default: [:]][file] = level
    return true
  }

  mutating func unlock(_ path: String, _ file: ObjectIdentifier, _ level: Int32) {
    levels[path, default: [:]][file] = level == SQLITE_LOCK_NONE ? nil : level
  }

  func isReserved(_ path: String) -> Bool { (levels[path]?.values.max() ?? SQLITE_LOCK_NONE) >= SQLITE_LOCK_RESERVED }

  /// The region `number` of a database's WAL index, made (zeroed) if `extend` says so.
  mutating func region(_ path: String, _ file: ObjectIdentifier, _ number: Int, size: Int, extend: Bool) -> UnsafeMutableRawPointer?
  {
    var memory = memory.removeValue(forKey: path) ?? SharedMemory()
    memory.users.insert(file)
    defer { self.memory[path] = memory }
    while memory.regions.count <= number {
      guard extend else { return nil }
      let region = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
      region.initializeMemory(as: UInt8.self, repeating: 0, count: size)
      memory.regions.append(region)
    }
    return memory.regions[number]
  }

  /// Takes or gives back slots of the WAL index; false if another is in the way.
  mutating func slots(_ path: String, _ file: ObjectIdentifier, mask: UInt32, flags: Int32) -> Bool {
    var memory = memory.removeValue(forKey: path) ?? SharedMemory()
    defer { self.memory[path] = memory }
    if flags & SQLITE_SHM_UNLOCK != 0 {
      memory.sharedSlots[file, default: 0] &= ~mask
      memory.exclusiveSlots[file, default: 0] &= ~mask
      return true
    }
    guard !memory.exclusiveSlots.contains(where: { $0.key != file && $0.value & mask != 0 }) else { return false }
    if flags & SQLITE_SHM_SHARED != 0 {
      memory.sharedSlots[file, default: 0] |= mask
      return true
    }
    guard !memory.sharedSlots.contains(where: { $0.key != file && $0.value & mask != 0 }) else { return false }
    memory.exclusiveSlots[file, default: 0] |= mask
    return true
  }

  /// A file lets go of the WAL index; with the last one it goes.
  mutating func leave(_ path: String, _ file: ObjectIdentifier) {
    guard var memory = memory.removeValue(forKey: path) else { return }
    memory.sharedSlots[file] = nil
    memory.exclusiveSlots[file] = nil
    memory.users.remove(file)
    if memory.users.isEmpty {
      for region in memory.regions { region.deallocate() }
    } else {
      self.memory[path] = memory
    }
  }

  mutating func free() {
    for region in memory.values.flatMap(\.regions) { region.deallocate() }
    memory.removeAll()
  }
}
