import Bytes
import MailModel
import Outside
import Synchronization

/// What the store does for itself, in small steps between others' calls: it ends what retention ends, clears away removed mailboxes,
/// and keeps the reserve.
///
/// It is due a while after something was written. In an idle store only what ends by age is looked for, a few times a day: nothing of its
/// own doing makes it come again, and where nothing ends nothing is written.
final class Maintenance: Sendable {
  /// Seconds between two rounds.
  static let interval = 60
  /// Seconds between two rounds of an idle store: 6 h.
  private static let idleInterval = 21_600
  /// Seconds between two looks at a full disk.
  private static let shortInterval = 2

  /// Between two passes over body segments while mail comes in: 1 s.
  private static let tidyInterval = Duration.seconds(1)

  private let group: GroupCommit
  private let worker: Checkpointer
  private let health: Health
  private let compaction: Compaction
  private let totals: SegmentTotals
  private let ballast: Ballast
  private let state = Mutex(State())

  private struct State {
    var isScheduled = false
    var isIdleScheduled = false
    var isTidying = false
  }

  init(
    group: GroupCommit, worker: Checkpointer, health: Health, compaction: Compaction, totals: SegmentTotals,
    ballast: Ballast
  ) {
    self.group = group
    self.worker = worker
    self.health = health
    self.compaction = compaction
    self.totals = totals
    self.ballast = ballast
  }

  /// At open: the reserve is made in the background, and segments that died earlier are seen to.
  func begin() {
    worker.submit { self.ballast.restore() }
    tidy()
    scheduleIdle()
  }

  /// After each commit that wrote something.
  func committed() {
    schedule(after: .seconds(Self.interval))
    tidy()
  }

  /// A round will come; one that is due already is enough.
  func schedule(after delay: Duration) {
    let isFirst = state.withLock { state in
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    if isFirst { worker.submit(after: delay) { self.round() } }
  }

  private func scheduleIdle() {
    let isFirst = state.withLock { state in
      defer { state.isIdleScheduled = true }
      return !state.isIdleScheduled
    }
    guard isFirst else { return }
    worker.submit(after: .seconds(Self.idleInterval)) { [weak self] in
      guard let self else { return }
      state.withLock { $0.isIdleScheduled = false }
      schedule(after: .zero)
      scheduleIdle()
    }
  }

  private func round() {
    state.withLock { $0.isScheduled = false }
    group.later { writer in
      if try writer.retain(isShort: self.health.isShortOfSpace) { self.schedule(after: .milliseconds(20)) }
    }
  }

  /// A pass over segments that have lost much, soon; at once if space is short.
  private func tidy() {
    guard totals.isRipe, !totals.isUnknown else { return }
    let isFirst = state.withLock { state in
      defer { state.isTidying = true }
      return !state.isTidying
    }
    guard isFirst else { return }
    worker.submit(after: health.isShortOfSpace ? .zero : Self.tidyInterval) {
      self.state.withLock { $0.isTidying = false }
      self.compaction.run(.ripe)
    }
  }

  /// The disk is full: the reserve goes, so that what frees space can go on.
  func ranShort() {
    worker.submit {
      self.ballast.release()
      self.compaction.run(.ripe)
      // Not at once: a quota does not show in what is free, and each message would be told as the end and the beginning.
      self.worker.submit(after: .seconds(Self.shortInterval)) { self.watchSpace() }
    }
    schedule(after: .zero)
  }

  private func watchSpace() {
    guard health.isShortOfSpace else { return }
    if ballast.hasRoom {
      ballast.restore()
      health.hasSpaceAgain()
    } else {
      tidy()
      worker.submit(after: .seconds(Self.shortInterval)) { self.watchSpace() }
    }
  }
}

/// The reserve: a file of zeros that is given back to a full disk. Used only on the checkpoint worker.
///
/// It takes at most a quarter of what is free, so that a small disk has a small one.
final class Ballast: Sendable {
  private static let path = "ballast"
  private static let chunk: UInt64 = 1_048_576
  /// Octets that must be free beside the reserve before mail is taken again: an eighth of it, 1 to 16 MiB.
  private static let leastMargin: UInt64 = 1_048_576
  private static let mostMargin: UInt64 = 16_777_216
  private let disk: any Disk
  private let size: UInt64
  /// What was held when it was given back.
  private let released = Atomic<UInt64>(0)

  init(disk: any Disk, size: Int64) {
    self.disk = disk
    self.size = UInt64(clamping: size)
  }

  /// There is space for what was given back and a little more.
  var hasRoom: Bool {
    guard let free = try? disk.freeBytes() else { return false }
    let held = released.load(ordering: .relaxed)
    return free > held.addedClamped(min(max(held / 8, Self.leastMargin), Self.mostMargin))
  }

  /// Writes the reserve as far as it is missing and there is room for it.
  func restore() {
    guard size > 0, let file = try? disk.open(Self.path, create: true, exclusive: false) else { return }
    defer { file.close() }
    guard var written = try? file.size(), let free = try? disk.freeBytes() else { return }
    // What was held before fits by what `hasRoom` found.
    let wanted = min(size, max(released.load(ordering: .relaxed), written.addedClamped(free) / 4))
    let zeros = [UInt8](repeating: 0, count: Int(Self.chunk))
    while written < wanted {
      guard (try? file.write(zeros, at: written)) != nil else { break }
      written += Self.chunk
    }
    try? file.sync()
  }

  func release() {
    guard let file = try? disk.open(Self.path, create: true, exclusive: false) else { return }
    if let held = try? file.size() { released.store(held, ordering: .relaxed) }
    try? file.truncate(to: 0)
    try? file.sync()
    file.close()
  }
}
