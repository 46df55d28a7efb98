import MailModel
import Outside
import Synchronization

/// What the store does for itself, in small steps between others' calls: it ends what retention ends, clears away removed mailboxes,
/// and keeps the reserve.
///
/// It is due a while after something was committed, never in an idle store.
final class Maintenance: Sendable {
  /// Seconds between two rounds.
  static let interval = 60
  /// Seconds between two looks at a full disk.
  private static let shortInterval = 2

  private let group: GroupCommit
  private let worker: Checkpointer
  private let health: Health
  private let ballast: Ballast
  private let isScheduled = Mutex(false)

  init(group: GroupCommit, worker: Checkpointer, health: Health, ballast: Ballast) {
    self.group = group
    self.worker = worker
    self.health = health
    self.ballast = ballast
  }

  /// At open: the reserve is made in the background.
  func begin() { worker.submit { self.ballast.restore() } }

  /// A round will come; one that is due already is enough.
  func schedule(after delay: Duration) {
    let isFirst = isScheduled.withLock { scheduled in
      defer { scheduled = true }
      return !scheduled
    }
    if isFirst { worker.submit(after: delay) { self.round() } }
  }

  private func round() {
    isScheduled.withLock { $0 = false }
    group.later { writer in
      if try writer.retain(isShort: self.health.isShortOfSpace) { self.schedule(after: .milliseconds(20)) }
    }
  }

  /// The disk is full: the reserve goes, so that what frees space can go on.
  func ranShort() {
    worker.submit {
      self.ballast.release()
      self.watchSpace()
    }
    schedule(after: .zero)
  }

  private func watchSpace() {
    guard health.isShortOfSpace else { return }
    if ballast.hasRoom {
      ballast.restore()
      health.hasSpaceAgain()
    } else {
      worker.submit(after: .seconds(Self.shortInterval)) { self.watchSpace() }
    }
  }
}

/// The reserve: a file of zeros that is given back to a full disk. Confined to the checkpoint worker by its callers.
final class Ballast: Sendable {
  private static let path = "ballast"
  private static let chunk = 1_048_576
  private let disk: any Disk
  private let size: Int64

  init(disk: any Disk, size: Int64) {
    self.disk = disk
    self.size = max(size, 0)
  }

  /// There is space for the reserve and as much again.
  var hasRoom: Bool {
    guard let free = try? disk.freeBytes() else { return false }
    return free / 2 > UInt64(max(size, 1_048_576))
  }

  /// Writes the reserve as far as it is missing. A disk that has no room for it has none: that is found at the next full disk.
  func restore() {
    guard size > 0, let file = try? disk.open(Self.path, create: true, exclusive: false) else { return }
    defer { file.close() }
    guard var written = try? file.size(), written < UInt64(size), hasRoom else { return }
    let zeros = [UInt8](repeating: 0, count: Self.chunk)
    while written < UInt64(size) {
      guard (try? file.write(zeros, at: written)) != nil else { return }
      written += UInt64(zeros.count)
    }
    try? file.sync()
  }

  func release() {
    guard let file = try? disk.open(Self.path, create: true, exclusive: false) else { return }
    try? file.truncate(to: 0)
    try? file.sync()
    file.close()
  }
}
