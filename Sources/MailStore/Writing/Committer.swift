import MailModel
import NIOCore
import Outside
import Synchronization

/// Runs groups on the writer: bodies first, then one transaction, then the results.
///
/// `@unchecked Sendable`: `writer` and what stands beside it are used only by jobs of the writer's worker, which run one at a time;
/// `observers` is behind a lock.
final class Committer: @unchecked Sendable {
  private var writer: Writer
  private let bodies: any BodyStorage
  private let limits: StoreLimits
  private let observers = Mutex<[@Sendable ([StoreChange]) -> Void]>([])
  private let health: Health
  /// Called after each commit that wrote something, on the writer.
  private let committed: @Sendable () -> Void

  init(
    writer: Writer, bodies: any BodyStorage, limits: StoreLimits, health: Health, committed: @escaping @Sendable () -> Void
  ) {
    self.writer = writer
    self.bodies = bodies
    self.limits = limits
    self.health = health
    self.committed = committed
  }

  func observe(_ handler: @escaping @Sendable ([StoreChange]) -> Void) { observers.withLock { $0.append(handler) } }

  /// Runs a group. Those of `lazy` that have to be tried again come back.
  func run(_ members: [Member], _ lazy: [Member]) -> [Member] {
    guard health.mayWrite else {
      for member in members { member.fail(.unavailable("the store is being checked after a failed write")) }
      return lazy
    }
    var (ready, placed) = placeBodies(of: members)
    if health.isShortOfSpace {
      for member in ready where member.kind.needsSpace { member.fail(.full) }
      ready.removeAll { $0.kind.needsSpace }
    }
    // What returned before these were called comes first.
    let again = runTogether(lazy + ready)
    settle(placed)
    return again
  }

  // MARK: Bodies

  /// Puts bodies where they belong and makes those in segments durable; members whose body fails are told and left out.
  private func placeBodies(of members: [Member]) -> ([Member], [(Member, SegmentLocation)]) {
    let inMemory = members.reduce(0) { $0 + ($1.inlineBody?.readableBytes ?? 0) }
    var placed: [(Member, SegmentLocation)] = []
    var ready: [Member] = []
    for member in members {
      guard let body = member.body else {
        ready.append(member)
        continue
      }
      switch body.place {
      case .segment(let location):
        member.place = .segment(location, size: body.size)
        placed.append((member, location))
      case .memory(let buffer):
        let staysInline =
          buffer.readableBytes <= limits.inlineBody
          && (member.isPassing || inMemory <= limits.inlineGroup || buffer.readableBytes < 1_024)
        if staysInline {
          member.place = .inline(buffer)
        } else {
          do {
            let location = try bodies.append([buffer])
            member.place = .segment(location, size: buffer.readableBytes)
            placed.append((member, location))
          } catch {
            member.fail(error)
            continue
          }
        }
      }
      ready.append(member)
    }
    return syncBodies(ready, placed)
  }

  private func syncBodies(_ ready: [Member], _ placed: [(Member, SegmentLocation)]) -> ([Member], [(Member, SegmentLocation)]) {
    guard !placed.isEmpty else { return (ready, placed) }
    do {
      try bodies.sync(placed.map(\.1))
      return (ready, placed)
    } catch {
      for (member, _) in placed { member.fail(error) }
      abandon(placed)
      let failed = Set(placed.map { ObjectIdentifier($0.0) })
      return (ready.filter { !failed.contains(ObjectIdentifier($0)) }, [])
    }
  }

  /// What the group wrote itself and nobody points to is given up; a spool's body stays its session's to discard.
  private func abandon(_ placed: [(Member, SegmentLocation)]) {
    bodies.abandoned(placed.filter { $0.0.inlineBody != nil }.map(\.1))
  }

  private func settle(_ placed: [(Member, SegmentLocation)]) {
    guard !placed.isEmpty else { return }
    bodies.accepted(placed.filter { $0.0.wasStored }.map(\.1))
    abandon(placed.filter { !$0.0.wasStored })
  }

  // MARK: Transactions

  /// All in one transaction; if one fails after it wrote, each in one of its own. Lazy members to be tried again come back.
  private func runTogether(_ members: [Member]) -> [Member] {
    guard !members.isEmpty else { return [] }
    var refused: [(Member, StoreError)] = []
    var done: [Member] = []
    let start = writer.mark
    do {
      try writer.begin()
      for member in members {
        let mark = writer.mark
        do {
          try member.perform(writer)
          done.append(member)
        } catch let error as StoreError where writer.mark == mark {
          refused.append((member, error))
        }
      }
      try writer.commit()
    } catch {
      writer.rollback()
      // A failure of one alone shows when it runs alone; one of the medium shows at once again.
      if let again = handle(error, members) { return again }
      return members.flatMap(runAlone)
    }
    finish(done, wrote: writer.mark != start)
    for (member, error) in refused { member.fail(error) }
    return []
  }

  private func runAlone(_ member: Member) -> [Member] {
    guard health.mayWrite else {
      member.fail(.unavailable("the store is being checked after a failed write"))
      return member.kind == .lazy ? [member] : []
    }
    if health.isShortOfSpace, member.kind.needsSpace {
      member.fail(.full)
      return []
    }
    let start = writer.mark
    do {
      try writer.begin()
      try member.perform(writer)
      try writer.commit()
    } catch let error as StoreError {
      writer.rollback()
      member.fail(error)
      return []
    } catch {
      writer.rollback()
      let isLazy = member.kind == .lazy
      _ = handle(error, [])
      member.fail((error as? SQLiteError)?.storeError ?? .unavailable("\(error)"))
      return isLazy ? [member] : []
    }
    finish([member], wrote: writer.mark != start)
    return []
  }

  private func finish(_ members: [Member], wrote: Bool) {
    let changes = writer.takeChanges()
    if !changes.isEmpty {
      for observer in observers.withLock({ $0 }) { observer(changes) }
    }
    for member in members {
      member.wasStored = true
      member.succeed()
    }
    if wrote { committed() }
  }

  /// What a failed transaction means. Nil: its members may be tried one at a time; otherwise they were told, and lazy ones come back.
  private func handle(_ error: any Error, _ members: [Member]) -> [Member]? {
    guard let failure = error as? SQLiteError else { return nil }
    if failure.isConstraint { return nil }
    if failure.isFull {
      health.ranOutOfSpace()
      return nil
    }
    health.failed(failure.description)
    for member in members where member.kind != .lazy { member.fail(failure.storeError) }
    return members.filter { $0.kind == .lazy }
  }

  // MARK: The writer itself

  /// Runs `body` on the writer outside any group. Only from jobs of the writer's worker.
  func withWriter<T>(_ body: (Writer) throws -> T) rethrows -> T { try body(writer) }

  /// Takes another writer in, after the old one's connection failed.
  func replace(_ writer: Writer) {
    self.writer.database.close()
    self.writer = writer
  }
}
