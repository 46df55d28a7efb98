import MailModel
import MartletSimulation
import NIOCore
import Outside

@testable import MailStore

/// The real store on a simulated disk, with the simulated executor's workers and clock.
final class SimulatedStore: Sendable {
  let disk: FaultyDisk
  let vfs: RecordingVFS
  let executor: SimulatedExecutor

  init(_ image: DiskImage = DiskImage(), seed: UInt64, recording: Bool) {
    disk = FaultyDisk(image, recording: recording)
    executor = SimulatedExecutor(seed: seed)
    vfs = RecordingVFS(disk: disk, clock: executor.clock, random: executor.random)
  }

  deinit { executor.stop() }

  /// Opens with limits so small that a short script meets checkpoints, a WAL that begins anew, segments that roll over and are recycled.
  func open(withLookups: Bool = false, workers: (any WorkerProvider)? = nil) async throws(StoreError) -> SQLiteStore {
    var options = SQLiteStore.Options(database: "store.db", lock: nil, vfs: vfs.name)
    if withLookups { options.lookups = "trace.db" }
    options.limits.lookupBatch = 5
    options.limits.lookupPart = 40
    options.limits.inlineBody = 1_024
    options.limits.inlineGroup = 4_096
    options.limits.checkpointPages = 24
    options.limits.restartPages = 72
    options.limits.readers = 1
    options.limits.undelete = 0
    options.limits.cache = 1_048_576
    options.limits.ballast = 16_384
    // A clock that jumps must not let old entries be forgotten in mid-script.
    options.limits.traceAge = 4_000_000_000
    options.limits.expungeLog = 4_000_000_000
    options.segments.segmentSize = 49_152
    options.segments.recordSize = 4_096
    options.segments.spoolMemory = 2_048
    options.segments.spoolUnwritten = 8_192
    return try await SQLiteStore.open(
      options, in: .init(disk: disk, clock: executor.clock, random: executor.random, workers: workers ?? executor))
  }
}

/// Bodies that a number makes, so that what must be there can be said again.
enum CrashBody {
  static func bytes(_ size: Int, seed: UInt64) -> [UInt8] {
    let random = SeededRandom(seed: seed)
    var bytes = Array("Subject: \(seed)\r\n\r\n".utf8)
    bytes.reserveCapacity(size + 8)
    while bytes.count < size { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
    bytes.removeLast(bytes.count - size)
    return bytes
  }
}
