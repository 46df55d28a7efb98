import Outside
import Synchronization

/// A disk in memory that records what is done to it and fails on demand.
///
/// It stands under the body segments (as `Disk`) and under the database (through `RecordingVFS`). What a power cut would have left at
/// any moment is told by `PowerCutSweep` from `recording`.
///
/// Faults are decided by one closure, asked before each operation with its number; reads can be changed by another. Safe to use from
/// several threads; deterministic if its callers are.
public final class FaultyDisk: Disk {
  /// What is about to be done.
  public struct Request: Sendable {
    public enum Kind: Hashable, Sendable { case write, sync, truncate, create, rename, remove, syncFolder, makeFolder }
    /// Counts from 0 over the disk's life; failed ones count too.
    public var number: Int
    public var kind: Kind
    public var path: String
    public var offset: Int
    public var count: Int
  }

  /// What is to happen instead.
  public enum Fault: Sendable {
    case fail(DiskError.Kind)
    /// The first octets are written, then it fails.
    case cutShort(after: Int, DiskError.Kind)
    /// It says it was done, and nothing was: a lost write, a sync that the drive ignored.
    case swallow
    /// The first octets are written, and it says that all were.
    case tear(after: Int)
    /// The write goes to another offset.
    case misdirect(offset: Int)
  }

  /// Asked before each operation; nil lets it be.
  public typealias FaultPlan = @Sendable (Request) -> Fault?

  /// Given what a read found; what it returns is what the caller gets. Shorter is a short read.
  public typealias ReadPlan = @Sendable (_ path: String, _ offset: Int, _ bytes: [UInt8]) throws -> [UInt8]

  struct State {
    var image: DiskImage
    var nextFile: Int
    var operations: [DiskOperation] = []
    var count = 0
    var requests = 0
    var capacity = Int.max
    var faults: FaultPlan?
    var reads: ReadPlan?
  }

  let state: Mutex<State>
  /// Where the recording began.
  public let base: DiskImage
  private let isRecording: Bool

  /// A disk with `image` on it.
  public init(_ image: DiskImage = DiskImage(), recording: Bool = false) {
    base = image
    isRecording = recording
    state = Mutex(State(image: image, nextFile: (image.files.keys.max() ?? 0) + 1))
  }

  /// Operations done so far: a moment in the recording.
  public var position: Int { state.withLock { $0.count } }

  /// Requests made so far, failed ones too.
  public var requests: Int { state.withLock { $0.requests } }

  /// Everything that was done since the beginning.
  public var recording: [DiskOperation] { state.withLock { $0.operations } }

  /// What it holds now, synced or not: what a killed process leaves.
  public var image: DiskImage { state.withLock { $0.image } }

  /// Octets it holds at most; then writes fail as on a full disk.
  public func setCapacity(_ octets: Int) { state.withLock { $0.capacity = octets } }

  public func setFaults(_ plan: FaultPlan?) { state.withLock { $0.faults = plan } }

  public func setReads(_ plan: ReadPlan?) { state.withLock { $0.reads = plan } }

  // MARK: Disk

  public func open(_ path: String, create: Bool, exclusive: Bool) throws(DiskError) -> any DiskFile {
    FaultyFile(disk: self, file: try openFile(path, create: create, exclusive: exclusive), path: path)
  }

  public func list(_ folder: String) throws(DiskError) -> [String] {
    try state.withLock { state throws(DiskError) in
      guard state.image.folders.contains(folder) else { throw DiskError(.notFound, operation: "list", path: folder) }
      let start = folder.isEmpty ? 0 : folder.utf8.count + 1
      return state.image.names.keys.filter { DiskImage.folder(of: $0) == folder }.map { String($0.dropFirst(start)) }.sorted()
    }
  }

  public func makeFolder(_ path: String) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      guard !state.image.folders.contains(path) else { return }
      if try admit(.makeFolder, path, &state) { change(.folder(path), &state) }
    }
  }

  public func rename(_ from: String, to: String) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      guard state.image.names[from] != nil else { throw DiskError(.notFound, operation: "rename", path: from) }
      if try admit(.rename, from, &state) { change(.rename(from, to: to), &state) }
    }
  }

  public func remove(_ path: String) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      guard state.image.names[path] != nil else { throw DiskError(.notFound, operation: "remove", path: path) }
      if try admit(.remove, path, &state) { change(.remove(path), &state) }
    }
  }

  public func syncFolder(_ folder: String) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      guard state.image.folders.contains(folder) else { throw DiskError(.notFound, operation: "sync folder", path: folder) }
      if try admit(.syncFolder, folder, &state) { record(.syncFolder(folder), &state) }
    }
  }

  public func freeBytes() throws(DiskError) -> UInt64 {
    state.withLock { UInt64(max(0, $0.capacity - Self.used($0.image))) }
  }

  // MARK: Files

  func exists(_ path: String) -> DiskImage.FileID? { state.withLock { $0.image.names[path] } }

  func openFile(_ path: String, create: Bool, exclusive: Bool) throws(DiskError) -> DiskImage.FileID {
    try state.withLock { state throws(DiskError) in
      if let file = state.image.names[path] {
        guard !(create && exclusive) else { throw DiskError(.exists, operation: "open", path: path) }
        return file
      }
      guard create, state.image.folders.contains(DiskImage.folder(of: path)) else {
        throw DiskError(.notFound, operation: "open", path: path)
      }
      guard try admit(.create, path, &state) else { throw DiskError(.failed, operation: "open", path: path) }
      defer { state.nextFile += 1 }
      change(.create(path, state.nextFile), &state)
      return state.nextFile
    }
  }

  func read(_ file: DiskImage.FileID, _ path: String, at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(DiskError)
    -> Int
  {
    let plan = state.withLock { $0.reads }
    if let plan {
      var bytes = [UInt8](repeating: 0, count: target.count)
      let found = bytes.withUnsafeMutableBytes { copy(file, at: offset, into: $0) }
      do {
        bytes = try plan(path, offset, Array(bytes.prefix(found)))
      } catch {
        throw (error as? DiskError) ?? DiskError(.failed, operation: "read", path: path)
      }
      let count = min(bytes.count, target.count)
      target.copyBytes(from: bytes.prefix(count))
      return count
    }
    return copy(file, at: offset, into: target)
  }

  private func copy(_ file: DiskImage.FileID, at offset: Int, into target: UnsafeMutableRawBufferPointer) -> Int {
    state.withLock { state in
      guard let count = state.image.files[file]?.count, offset < count else { return 0 }
      let taken = min(target.count, count - offset)
      state.image.files[file]?.withUnsafeBytes { bytes in
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + taken]))
      }
      return taken
    }
  }

  func write(_ file: DiskImage.FileID, _ path: String, _ bytes: [UInt8], at offset: Int) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      var place = offset
      var piece = bytes[...]
      var failure: DiskError?
      switch ask(Request(number: state.requests, kind: .write, path: path, offset: offset, count: bytes.count), &state) {
      case nil: break
      case .swallow: return
      case .fail(let kind): throw DiskError(kind, operation: "write", path: path)
      case .cutShort(let count, let kind):
        piece = bytes.prefix(count)
        failure = DiskError(kind, operation: "write", path: path)
      case .tear(let count): piece = bytes.prefix(count)
      case .misdirect(let other): place = other
      }
      let size = state.image.files[file]?.count ?? 0
      if state.capacity != .max, place + piece.count > size, Self.used(state.image) + place + piece.count - size > state.capacity {
        throw DiskError(.full, operation: "write", path: path)
      }
      state.image.files[file]?.overwrite(at: place, with: piece)
      if !piece.isEmpty { record(.write(file, offset: place, bytes: piece.count == bytes.count ? bytes : Array(piece)), &state) }
      if let failure { throw failure }
    }
  }

  func sync(_ file: DiskImage.FileID, _ path: String) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      switch ask(Request(number: state.requests, kind: .sync, path: path, offset: 0, count: 0), &state) {
      case nil, .misdirect, .tear: record(.sync(file), &state)
      case .swallow: break
      case .fail(let kind), .cutShort(_, let kind):
        record(.failedSync(file), &state)
        throw DiskError(kind, operation: "sync", path: path)
      }
    }
  }

  func size(_ file: DiskImage.FileID) -> Int { state.withLock { $0.image.files[file]?.count ?? 0 } }

  func truncate(_ file: DiskImage.FileID, _ path: String, to size: Int) throws(DiskError) {
    try state.withLock { state throws(DiskError) in
      guard try admit(.truncate, path, &state) else { return }
      state.image.files[file]?.resize(to: size)
      record(.truncate(file, size: size), &state)
    }
  }

  // MARK: Underneath

  /// Asks the plan about an operation that is done whole or not at all; false if it is to be swallowed.
  private func admit(_ kind: Request.Kind, _ path: String, _ state: inout State) throws(DiskError) -> Bool {
    switch ask(Request(number: state.requests, kind: kind, path: path, offset: 0, count: 0), &state) {
    case nil, .misdirect, .tear: return true
    case .swallow: return false
    case .fail(let error), .cutShort(_, let error): throw DiskError(error, operation: "\(kind)", path: path)
    }
  }

  private func ask(_ request: Request, _ state: inout State) -> Fault? {
    state.requests += 1
    return state.faults?(request)
  }

  private func change(_ change: NameChange, _ state: inout State) {
    state.image.apply(change)
    record(.name(change), &state)
  }

  private func record(_ operation: DiskOperation, _ state: inout State) {
    state.count += 1
    if isRecording { state.operations.append(operation) }
  }

  private static func used(_ image: DiskImage) -> Int { image.names.values.reduce(0) { $0 + (image.files[$1]?.count ?? 0) } }
}

/// An open file of the faulty disk.
final class FaultyFile: DiskFile {
  private let disk: FaultyDisk
  private let file: DiskImage.FileID
  private let path: String
  private let isClosed = Atomic<Bool>(false)

  init(disk: FaultyDisk, file: DiskImage.FileID, path: String) {
    self.disk = disk
    self.file = file
    self.path = path
  }

  func read(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
    let start = try position(offset, "read")
    var bytes = [UInt8](repeating: 0, count: min(max(count, 0), max(0, disk.size(file) - start)))
    // `withUnsafeMutableBytes` rethrows untyped.
    let found = bytes.withUnsafeMutableBytes { target in
      Result { () throws(DiskError) in try disk.read(file, path, at: start, into: target) }
    }
    bytes.removeLast(bytes.count - (try found.get()))
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
    try disk.write(file, path, bytes, at: try position(offset, "write"))
  }

  func sync() throws(DiskError) {
    _ = try position(0, "sync")
    try disk.sync(file, path)
  }

  func size() throws(DiskError) -> UInt64 {
    _ = try position(0, "size")
    return UInt64(disk.size(file))
  }

  func truncate(to size: UInt64) throws(DiskError) { try disk.truncate(file, path, to: try position(size, "truncate")) }

  func close() { isClosed.store(true, ordering: .releasing) }

  private func position(_ offset: UInt64, _ operation: String) throws(DiskError) -> Int {
    guard !isClosed.load(ordering: .acquiring), let position = Int(exactly: offset), position < Int.max / 2 else {
      throw DiskError(.failed, operation: operation, path: path)
    }
    return position
  }
}
