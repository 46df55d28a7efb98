import MailModel
import MartletSimulation
import NIOCore
import Outside

@testable import MailStore

/// Opens what a power cut left with the real store, and compares it with what was acknowledged.
struct CrashCheck {
  let run: CrashRun
  let steps: [[CrashStep]]

  init(_ run: CrashRun) {
    self.run = run
    self.steps = run.recorder.steps
  }

  /// What a session must have after a cut at `position`, and what it may have instead: the operation it was waiting for.
  func allowed(_ session: Int, at position: Int) -> (must: CrashStep?, may: CrashStep?) {
    let steps = steps[session]
    guard let index = steps.lastIndex(where: { $0.ack <= position }) else { return (nil, steps.first) }
    let next = index + 1 < steps.count ? steps[index + 1] : nil
    return (steps[index], next.flatMap { $0.start <= position ? $0 : nil })
  }

  /// How many acknowledgements came before `position`: with it, what must be there changes.
  func acknowledged(at position: Int) -> Int {
    steps.reduce(0) { $0 + ($1.lastIndex { $0.ack <= position } ?? -1) + 1 }
  }

  /// Whether a refused operation was under way at `position`: until its session has looked again, nobody knows what is there.
  func isUnknown(at position: Int) -> Bool {
    run.recorder.toleratesFailures
      && steps.contains { $0.contains { $0.name == "refused" && $0.start <= position && position < $0.ack } }
  }

  /// Checks one image. `goesOn` also uses the recovered store: new numbers must be above every one ever told.
  func check(_ image: DiskImage, at position: Int, goesOn: Bool, seed: UInt64) throws {
    let world = SimulatedStore(image, seed: seed, recording: false)
    try check(in: world, at: position, goesOn: goesOn)
  }

  func check(in world: SimulatedStore, at position: Int, goesOn: Bool) throws {
    try world.executor.run { [self] in
      let store: SQLiteStore
      do { store = try await world.open() } catch { throw CrashFailure("the store does not open: \(error)") }
      do {
        try await compare(store, at: position)
        if goesOn { try await goOn(store, world, at: position) }
        try await claimAll(store)
      } catch {
        await store.close()
        throw error
      }
      await store.close()
    }
  }

  private func compare(_ store: SQLiteStore, at position: Int) async throws {
    let report = try await store.verify { _ in }
    guard report.problems.isEmpty else { throw CrashFailure("verify: \(report.problems)") }
    var sharedMust: [UID: BodyID] = [:]
    var sharedOwners: [UID: BodyID] = [:]
    for session in steps.indices {
      let (must, may) = allowed(session, at: position)
      guard let must else { continue }
      let found = try await matching(session, must, may, store)
      sharedMust.merge(found.shared) { first, _ in first }
      sharedOwners.merge(found.shared) { first, _ in first }
    }
    guard steps.indices.allSatisfy({ allowed($0, at: position).must != nil }) else { return }
    let entries = try await store.entries(in: run.shared.id, from: UID(rawValue: 1), limit: 1_000)
    let found = Dictionary(entries.map { ($0.uid, $0.body) }) { first, _ in first }
    guard found == sharedMust else {
      throw CrashFailure(
        "shared mailbox: UIDs \(found.keys.map(\.rawValue).sorted()) instead of \(sharedMust.keys.map(\.rawValue).sorted())")
    }
    for (first, second) in zip(entries, entries.dropFirst()) where first.modSeq >= second.modSeq {
      throw CrashFailure(
        "shared mailbox: MODSEQ \(second.modSeq.rawValue) of UID \(second.uid.rawValue) is not above the one before")
    }
    try await readAll(entries.map(\.body), store)
  }

  /// The step whose state the session is found in; every body in it read.
  private func matching(_ session: Int, _ must: CrashStep, _ may: CrashStep?, _ store: SQLiteStore) async throws -> CrashStep {
    let candidates = [must] + (may.map { [$0] } ?? [])
    let ids = may?.ids ?? must.ids
    let found = try await CrashSnapshot.take(store, account: run.accounts[session].id, ids: ids)
    try await readAll(found.allEntries.map(\.body) + found.queue.map(\.body), store)
    for var candidate in candidates {
      for id in ids where candidate.state.traces[id] == nil { candidate.state.traces[id] = [] }
      let expected = candidate.state.without(candidate.floating, of: candidate.messages)
      if found.without(candidate.floating, of: candidate.messages) == expected { return candidate }
    }
    throw CrashFailure(
      "session \(session), after \"\(must.name)\" (acknowledged at \(must.ack))\(may.map { ", during \"\($0.name)\" (from \($0.start))" } ?? ""):\n"
        + found.differences(from: must.state) + (may.map { "\nor:\n" + found.differences(from: $0.state) } ?? ""))
  }

  private func readAll(_ bodies: [BodyID], _ store: SQLiteStore) async throws {
    for body in bodies {
      guard let expected = run.recorder.bytes(of: body) else { throw CrashFailure("body \(body.rawValue) is nobody's") }
      let bytes = try await store.read(body, range: 0..<expected.count + 1)
      guard bytes.readableBytesView.elementsEqual(expected) else { throw CrashFailure("body \(body.rawValue) has other bytes") }
    }
  }

  /// A lease is never a loss: after a cut nothing is leased, and every recipient that is neither held nor done can be claimed, once.
  private func claimAll(_ store: SQLiteStore) async throws {
    var waiting: Set<QueueRecipientID> = []
    var after: QueueID?
    while true {
      let page = try await store.queue(matching: QueueSelection(), after: after, limit: 1_000)
      guard let last = page.last else { break }
      after = last.id
      for entry in page.flatMap(\.entries) {
        guard entry.state != .claimed else { throw CrashFailure("recipient \(entry.id.rawValue) is leased by nobody") }
        if entry.state == .waiting { waiting.insert(entry.id) }
      }
    }
    var claimed: [QueueRecipientID] = []
    while true {
      // Whatever a clock that jumped made of the times, it is due.
      let page = try await store.claimDue(
        now: Timestamp(microseconds: .max - 1), limit: 7, leaseEnd: Timestamp(microseconds: .max))
      if page.isEmpty { break }
      claimed += page.flatMap(\.entries).map(\.id)
    }
    guard claimed.count == waiting.count, Set(claimed) == waiting else {
      throw CrashFailure("\(claimed.count) recipients can be claimed of \(waiting.count) that wait")
    }
    run.recorder.countClaims(claimed.count)
  }

  /// Appends everywhere: UIDs and modification sequences are above all that were told before the cut.
  private func goOn(_ store: SQLiteStore, _ world: SimulatedStore, at position: Int) async throws {
    for session in steps.indices {
      let told = steps[session].filter { $0.ack <= position }
      guard let last = told.last else { continue }
      // The operation under way may have removed one.
      let present = Set(try await store.mailboxes(of: run.accounts[session].id).map(\.id))
      for mailbox in last.state.mailboxes where present.contains(mailbox.id) {
        let before = told.flatMap(\.state.mailboxes).filter { $0.id == mailbox.id }
        let leastUID = before.map(\.uidNext.rawValue).max() ?? 1
        let leastModSeq = before.map(\.highestModSeq.rawValue).max() ?? 0
        let spool = store.makeSpool()
        try await spool.append(ByteBuffer(string: "new"))
        let message = AppendedMessage(flags: Flags(), internalDate: world.executor.clock.now(), summary: MessageSummary())
        let body = try await spool.finish()
        let uid = try await store.append(message, body: body, to: mailbox.id)
        let entry = try await store.entries(in: mailbox.id, from: uid, limit: 1).first
        guard uid.rawValue >= leastUID, let entry, entry.modSeq.rawValue > leastModSeq else {
          throw CrashFailure(
            "\(mailbox.name): new UID \(uid.rawValue) (told: below \(leastUID)), MODSEQ \(entry?.modSeq.rawValue ?? 0) (told: \(leastModSeq))"
          )
        }
      }
    }
  }
}
