import Foundation
import InternetMessage
import MailModel
import MartletSimulation
import Outside
import Testing

@testable import MailStore

/// One process owns a store, and only one that knows its format (HOSTILE 61). On real files.
@Suite("Ownership of a store")
struct OwnershipTests {
  @Test("a second process is refused and told who has the store; it may have it when the first is gone (HOSTILE 61)")
  func secondProcess() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-lock-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("lock").path
    func otherProcess() throws -> Int32 {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
      process.arguments = ["--nonblock", "--exclusive", path, "true"]
      try process.run()
      process.waitUntilExit()
      return process.terminationStatus
    }
    var lock: StoreLock? = try StoreLock(path: path)
    #expect(try otherProcess() != 0)
    do {
      _ = try StoreLock(path: path)
      Issue.record("a second lock was given")
    } catch {
      guard case .unavailable(let text) = error else { throw error }
      #expect(text.contains("process \(ProcessInfo.processInfo.processIdentifier)"))
    }
    withExtendedLifetime(lock) {}
    lock = nil
    #expect(try otherProcess() == 0)
  }

  @Test("a store of a newer format is refused with what to do, and is left as it is (HOSTILE 61)")
  func newerFormat() throws {
    let run = try CrashRun.record(seed: 61, .init(sessions: 1, operations: 3))
    var image = run.final
    var file = try #require(image["store.db"])
    // `user_version` stands at offset 60 of the database header; the log would hide it.
    file[60] = 1
    image["store.db"] = file
    image["store.db-wal"] = nil
    let world = SimulatedStore(image, seed: 1, recording: true)
    do {
      _ = try world.executor.run { try await world.open() }
      Issue.record("a newer store was opened")
    } catch StoreError.invalid(let text) {
      #expect(text.contains("newer"))
    }
    #expect(world.disk.image["store.db"] == file)
  }

  @Test(
    "an older backup put back opens as it was, and new mailboxes get a UIDVALIDITY above those of the time that is lost (HOSTILE 61)"
  )
  func restored() throws {
    let world = SimulatedStore(seed: 61, recording: true)
    let clock = world.executor.clock
    let account = EmailAddress(localPart: "a", domain: "example.test")
    let backup = try world.executor.run { () async throws -> DiskImage in
      let store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      _ = try await store.addAccount(address: account, passwordHash: "", quota: 0, created: clock.now())
      await store.close()
      return world.disk.image
    }
    clock.advance(by: .seconds(3_600))
    func create(_ world: SimulatedStore) throws -> (inbox: UIDValidity, new: UIDValidity) {
      try world.executor.run {
        let store = try await world.open()
        let id = try await store.account(account).id
        let inbox = try await store.mailbox("INBOX", of: id)
        let new = try await store.createMailbox("new", of: id, specialUse: nil)
        #expect(try await store.verify { _ in }.problems.isEmpty)
        await store.close()
        return (inbox.uidValidity, new.uidValidity)
      }
    }
    let lost = try create(world)
    let restored = SimulatedStore(backup, seed: 62, recording: false)
    restored.executor.clock.jump(by: clock.now().since(restored.executor.clock.now()) + .seconds(60))
    let again = try create(restored)
    #expect(again.inbox == lost.inbox && again.new.rawValue > lost.new.rawValue)
  }

  @Test("a copy taken of a running store at one moment opens like one after a power cut (HOSTILE 61)")
  func copied() throws {
    let run = try CrashRun.record(seed: 62, .init(sessions: 2, operations: 8))
    let check = CrashCheck(run)
    var sweep = PowerCutSweep(base: run.base, operations: run.operations, seed: 62)
    while !sweep.isAtEnd {
      sweep.advance()
      if sweep.position % 50 == 0 { try check.check(sweep.image(.kept), at: sweep.position, goesOn: true, seed: 62) }
    }
  }
}
