import Foundation
import Glibc
import Outside
import Synchronization

/// Workers on threads of their own, as the server has them.
final class TestWorkers: WorkerProvider {
  func makeSerialWorker(named name: String) -> any SerialWorker { TestWorker(name) }
}

/// `@unchecked Sendable`: everything is behind the condition's lock.
final class TestWorker: SerialWorker, @unchecked Sendable {
  private let condition = NSCondition()
  private var jobs: [() -> Void] = []
  private var timers: [(due: UInt64, job: () -> Void)] = []

  init(_ name: String) {
    let thread = Thread { [weak self] in
      while let job = Self.next(of: self) { job() }
    }
    thread.name = name
    thread.start()
  }

  func submit(_ job: @escaping @Sendable () -> Void) {
    condition.lock()
    jobs.append(job)
    condition.signal()
    condition.unlock()
  }

  func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
    condition.lock()
    timers.append((DispatchTime.now().uptimeNanoseconds &+ UInt64(max(delay.nanoseconds, 0)), job))
    condition.signal()
    condition.unlock()
  }

  /// Lives on while anybody may submit; ends with the last reference.
  private static func next(of worker: TestWorker?) -> (() -> Void)? {
    weak let weakWorker = worker
    while let worker = weakWorker {
      worker.condition.lock()
      let now = DispatchTime.now().uptimeNanoseconds
      if let index = worker.timers.indices.min(by: { worker.timers[$0].due < worker.timers[$1].due }),
        worker.timers[index].due <= now
      {
        worker.jobs.append(worker.timers.remove(at: index).job)
      }
      if !worker.jobs.isEmpty {
        let job = worker.jobs.removeFirst()
        worker.condition.unlock()
        return job
      }
      let wait = worker.timers.map { $0.due &- now }.min() ?? 200_000_000
      _ = worker.condition.wait(until: Date(timeIntervalSinceNow: Double(min(wait, 200_000_000)) / 1e9))
      worker.condition.unlock()
    }
    return nil
  }
}

/// Files of a real folder.
struct FolderDisk: Disk {
  let folder: String

  func open(_ path: String, create: Bool, exclusive: Bool) throws(DiskError) -> any DiskFile {
    let flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0) | (exclusive ? O_EXCL : 0)
    let descriptor = Glibc.open("\(folder)/\(path)", flags, 0o600)
    guard descriptor >= 0 else {
      throw DiskError(
        errno == ENOENT ? .notFound : errno == EEXIST ? .exists : .failed, operation: "open", path: path, errno: errno)
    }
    return FolderFile(descriptor: descriptor, path: path)
  }

  func list(_ path: String) throws(DiskError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(path)").sorted()
    } catch {
      throw DiskError(.failed, operation: "list", path: path)
    }
  }

  func makeFolder(_ path: String) throws(DiskError) {
    do {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(path)", withIntermediateDirectories: true)
    } catch {
      throw DiskError(.failed, operation: "mkdir", path: path)
    }
  }

  func rename(_ from: String, to: String) throws(DiskError) {
    guard Glibc.rename("\(folder)/\(from)", "\(folder)/\(to)") == 0 else {
      throw DiskError(.failed, operation: "rename", path: from, errno: errno)
    }
  }

  func remove(_ path: String) throws(DiskError) {
    guard unlink("\(folder)/\(path)") == 0 else { throw DiskError(.failed, operation: "unlink", path: path, errno: errno) }
  }

  func syncFolder(_ path: String) throws(DiskError) {
    let descriptor = Glibc.open("\(folder)/\(path)", O_RDONLY | O_DIRECTORY)
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw DiskError(.failed, operation: "fsync", path: path, errno: errno) }
  }

  func freeBytes() throws(DiskError) -> UInt64 {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { throw DiskError(.failed, operation: "statvfs", path: folder, errno: errno) }
    return UInt64(status.f_bavail) * UInt64(status.f_frsize)
  }
}

struct FolderFile: DiskFile {
  let descriptor: Int32
  let path: String

  func read(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, count, off_t(offset)) }
    guard got >= 0 else { throw DiskError(.failed, operation: "read", path: path, errno: errno) }
    bytes.removeLast(count - got)
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: UInt64) throws(DiskError) {
    let done = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, bytes.count, off_t(offset)) }
    guard done == bytes.count else {
      throw DiskError(errno == ENOSPC ? .full : .failed, operation: "write", path: path, errno: errno)
    }
  }

  func sync() throws(DiskError) {
    guard fdatasync(descriptor) == 0 else { throw DiskError(.failed, operation: "sync", path: path, errno: errno) }
  }

  func size() throws(DiskError) -> UInt64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw DiskError(.failed, operation: "stat", path: path, errno: errno) }
    return UInt64(status.st_size)
  }

  func truncate(to size: UInt64) throws(DiskError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw DiskError(.failed, operation: "truncate", path: path, errno: errno) }
  }

  func close() { Glibc.close(descriptor) }
}

/// A clock that stands still until it is told to go on.
final class TestClock: Clock {
  private let microseconds = Mutex<Int64>(1_790_000_000_000_000)

  func now() -> Timestamp { microseconds.withLock { Timestamp(microseconds: $0) } }
  func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: DispatchTime.now().uptimeNanoseconds) }
  func advance(seconds: Int64) { microseconds.withLock { $0 += seconds * 1_000_000 } }
}

/// SplitMix64 from a seed.
final class SeededRandom: RandomSource {
  private let state: Mutex<UInt64>

  init(_ seed: UInt64) { state = Mutex(seed) }

  func next() -> UInt64 {
    state.withLock { state in
      state &+= 0x9E37_79B9_7F4A_7C15
      var bits = state
      bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
      bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
      return bits ^ (bits >> 31)
    }
  }
}
