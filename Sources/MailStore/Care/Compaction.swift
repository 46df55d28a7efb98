import Bytes
import MailModel
import Outside
import Synchronization

/// Takes dead segments back, and copies the live bodies out of those that are at least half dead.
///
/// A body is copied and synced before its pointer is switched; a segment is taken back only when the database no longer names it and every
/// read that may have looked up an old pointer has ended. Stopping anywhere loses nothing.
///
/// One pass at a time, in steps of one page of bodies: the copying on the checkpoint worker, the switch in whatever group comes next. In
/// the background a pause follows each page, in proportion to what it took, so that mail hardly notices.
final class Compaction: Sendable {
  typealias Progress = @Sendable (VerifyProgress) -> Void
  typealias Finish = @Sendable (Result<Int64, StoreError>) -> Void

  /// What one pass looks at.
  enum Reach { case ripe, everything }

  private struct Pass: Sendable {
    var reach: Reach
    var progress: Progress
    var finish: Finish
    var segments: [UInt32] = []
    /// The body after which the next page begins.
    var after = Int64.min
    var done: Int64 = 0
    var total: Int64 = 0
    var freed: Int64 = 0
  }

  private struct Placed: Sendable {
    var id: Int64
    var location: SegmentLocation
  }

  private struct State {
    var isRunning = false
    var waiting: [Pass] = []
  }

  /// Bodies of one page, and the octets after which it takes no more: 16, 4 MiB.
  private static let pageBodies: Int64 = 16
  private static let pageOctets = 4_194_304

  private let worker: Checkpointer
  private let group: GroupCommit
  private let readers: ReaderPool
  private let bodies: any BodyStorage
  private let totals: SegmentTotals
  private let health: Health
  private let clock: any Clock
  private let disk: any Disk
  private let state = Mutex(State())

  init(
    worker: Checkpointer, group: GroupCommit, readers: ReaderPool, bodies: any BodyStorage, totals: SegmentTotals, health: Health,
    clock: any Clock, disk: any Disk
  ) {
    self.worker = worker
    self.group = group
    self.readers = readers
    self.bodies = bodies
    self.totals = totals
    self.health = health
    self.clock = clock
    self.disk = disk
  }

  /// Runs a pass after those that run already. `finish` gets the octets that became free.
  func run(_ reach: Reach, progress: @escaping Progress = { _ in }, finish: @escaping Finish = { _ in }) {
    let pass = Pass(reach: reach, progress: progress, finish: finish)
    let starts = state.withLock { state in
      if state.isRunning {
        // One more look in the background is enough.
        if reach == .everything { state.waiting.append(pass) }
        return false
      }
      state.isRunning = true
      return true
    }
    if starts { worker.submit { self.begin(pass) } }
  }

  private func end(_ pass: Pass, _ result: Result<Int64, StoreError>) {
    if case .failure = result { totals.ripen(pass.segments) }
    pass.finish(result)
    let next = state.withLock { state -> Pass? in
      guard !state.waiting.isEmpty else {
        state.isRunning = false
        return nil
      }
      return state.waiting.removeFirst()
    }
    if let next { worker.submit { self.begin(next) } }
  }

  // MARK: On the checkpoint worker

  private func begin(_ request: Pass) {
    var pass = request
    guard health.mayWrite, !totals.isUnknown else {
      return end(pass, .failure(.unavailable("while the store is damaged nothing is compacted")))
    }
    do throws(StoreError) {
      pass.segments = try bodies.compactable(totals.uses, among: pass.reach == .ripe ? totals.ripe : nil)
    } catch {
      return end(pass, .failure(error))
    }
    totals.looked(at: pass.segments)
    pass.total = pass.segments.reduce(0) { $0.addedClamped(totals.octets(in: $1)) }
    // The dead ones cost nothing.
    let dead = pass.segments.filter { totals.octets(in: $0) == 0 }
    pass.segments.removeAll { totals.octets(in: $0) == 0 }
    if health.isShortOfSpace { pass.segments = affordable(pass.segments) }
    release(dead, pass)
  }

  /// On a full disk: those whose live bodies leave at least half of what is free, since deletions live on it.
  private func affordable(_ segments: [UInt32]) -> [UInt32] {
    guard let free = try? disk.freeBytes() else { return [] }
    let chosen = segments.filter { UInt64(clamping: totals.octets(in: $0)) <= free / 2 }
    totals.ripen(segments.filter { !chosen.contains($0) })
    return chosen
  }

  private func step(_ pass: Pass) {
    var pass = pass
    guard let segment = pass.segments.first else {
      pass.progress(VerifyProgress(done: pass.done, total: pass.done, what: "octets copied"))
      return end(pass, .success(pass.freed))
    }
    guard health.mayWrite else { return end(pass, .failure(.unavailable("the store is being checked after a failed write"))) }
    let began = clock.monotonic()
    do throws(StoreError) {
      let after = pass.after
      let page = try worker.reading { try Self.bodies(in: segment, after: after, $0) }
      guard let last = page.last, last.id > pass.after else {
        pass.segments.removeFirst()
        pass.after = .min
        return release([segment], pass)
      }
      pass.after = last.id
      let copies = try copy(page)
      let left = pass
      submit(copies) { result in
        switch result {
        case .success(let octets):
          var pass = left
          pass.done = pass.done.addedClamped(octets)
          pass.progress(VerifyProgress(done: pass.done, total: max(pass.total, pass.done), what: "octets copied"))
          self.goOn(pass, since: began)
        case .failure(let error): self.end(left, .failure(error))
        }
      }
    } catch {
      end(pass, .failure(error))
    }
  }

  /// The next step, after a pause unless somebody waits or space is short.
  private func goOn(_ pass: Pass, since began: MonotonicInstant) {
    let next = pass
    guard pass.reach == .ripe, !health.isShortOfSpace else { return worker.submit { self.step(next) } }
    let pause = max(clock.monotonic().since(began) * 4, .milliseconds(5))
    worker.submit(after: min(pause, .seconds(2))) { self.step(next) }
  }

  private static func bodies(in segment: UInt32, after: Int64, _ database: Database) throws -> [Placed] {
    var page: [Placed] = []
    var octets = 0
    try database.each(
      "SELECT id, extents FROM messages WHERE segment = ? AND id > ? AND damaged = 0 ORDER BY id LIMIT ?",
      [.int(Int64(segment)), .int(after), .int(pageBodies)]
    ) { row in
      // A body whose place can't be read is for `verify` to tell.
      guard let location = SegmentLocation(segment: segment, encodedExtents: row.blob(1)) else { return true }
      page.append(Placed(id: row.int(0), location: location))
      octets = octets.addedClamped(location.length)
      return octets < pageOctets
    }
    return page
  }

  /// Copies and syncs. A body that is damaged stays where it is, for `verify` to tell.
  private func copy(_ page: [Placed]) throws(StoreError) -> [(Placed, SegmentLocation)] {
    var copies: [(Placed, SegmentLocation)] = []
    do throws(StoreError) {
      for placed in page where try bodies.verify(placed.location) {
        copies.append((placed, try bodies.copy(placed.location)))
      }
      try bodies.sync(copies.map(\.1))
    } catch {
      bodies.abandoned(copies.map(\.1))
      throw error
    }
    return copies
  }

  /// Switches the pointers of bodies that are still there; octets moved.
  private func submit(_ copies: [(Placed, SegmentLocation)], _ done: @escaping Finish) {
    let moved = copies.map(\.1)
    group.submit(.change) { writer in
      for (placed, copy) in copies {
        try writer.database.run(
          "UPDATE messages SET segment = ?, extents = ? WHERE id = ? AND segment = ? AND extents = ?", .int(Int64(copy.segment)),
          .blob(copy.encodedExtents), .int(placed.id), .int(Int64(placed.location.segment)), .blob(placed.location.encodedExtents))
        guard writer.database.changes > 0 else { continue }
        writer.totals.change(placed.location.segment, Int64(0).subtractedClamped(Int64(clamping: placed.location.footprint)))
        writer.totals.change(copy.segment, Int64(clamping: copy.footprint))
      }
    } finish: { [bodies] result in
      switch result {
      case .success:
        bodies.accepted(moved)
        done(.success(copies.reduce(0) { $0.addedClamped(Int64(clamping: $1.0.location.footprint)) }))
      case .failure(let error):
        bodies.abandoned(moved)
        done(.failure(error))
      }
    }
  }

  /// Takes back those of `segments` that nothing names any more, after every read that may be in them; then the pass goes on.
  private func release(_ segments: [UInt32], _ pass: Pass) {
    guard !segments.isEmpty else { return step(pass) }
    group.submit(.change) { writer in
      try segments.filter { segment in
        try writer.database.first("SELECT 1 FROM messages WHERE segment = ? LIMIT 1", [.int(Int64(segment))]) { _ in true } == nil
      }
    } finish: { result in
      switch result {
      case .failure(let error): self.end(pass, .failure(error))
      case .success(let free): self.readers.whenDrained { self.worker.submit { self.recycle(free, pass) } }
      }
    }
  }

  private func recycle(_ free: [UInt32], _ pass: Pass) {
    var pass = pass
    do throws(StoreError) {
      pass.freed = pass.freed.addedClamped(try bodies.recycle(free))
      totals.forget(free)
    } catch {
      return end(pass, .failure(error))
    }
    step(pass)
  }
}
