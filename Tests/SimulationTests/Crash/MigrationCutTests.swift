import InternetMessage
import MailModel
import MartletSimulation
import Outside
import Testing

@testable import MailStore

/// Power cuts and kills while an older store is brought to this format (HOSTILE 58).
@Suite("Power cuts during migration", .serialized)
struct MigrationCutTests {
  /// A store of the format that `steps` steps make, with a domain, a mailbox of two answers, and a queued recipient.
  private static func older(_ steps: Int) throws -> DiskImage {
    let world = SimulatedStore(seed: 58, recording: false)
    let database = try Database(path: "store.db", vfs: world.vfs.name, isReadOnly: false, cacheBytes: 1_048_576)
    for step in Schema.steps.prefix(steps) { try database.execute(step) }
    try database.execute("PRAGMA application_id = \(Schema.applicationID); PRAGMA user_version = \(steps)")
    try database.execute(
      """
      INSERT INTO domains VALUES('example.test', 0, 0, NULL, NULL);
      INSERT INTO accounts VALUES(1, 'example.test', 'a', '', 0, 1, 0, 1);
      INSERT INTO mailboxes VALUES(1, 1, 7, 3, 2, 0, 0, 0, 0, 0, 1, NULL, 'INBOX');
      """)
    for number in 0..<200 { try database.execute("INSERT INTO threads(hash, thread) VALUES(\(number * 7_919), \(number))") }
    database.close()
    return world.disk.image
  }

  /// What must be there whatever happened to the migration.
  private static func check(_ image: DiskImage, seed: UInt64) throws {
    let world = SimulatedStore(image, seed: seed, recording: false)
    try world.executor.run {
      let store = try await world.open()
      let id = try await store.account(EmailAddress(localPart: "a", domain: "example.test")).id
      let inbox = try await store.mailbox("INBOX", of: id)
      let found = try await store.group.perform { writer, _ in
        try writer.database.first("SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM threads)", []) {
          [$0.int(0), $0.int(1)]
        }
      }
      guard inbox.uidValidity.rawValue == 7, inbox.uidNext.rawValue == 3, found == [Int64(Schema.steps.count), 200] else {
        throw CrashFailure("found \(inbox) and \(found ?? [])")
      }
      let problems = try await store.verify { _ in }.problems
      guard problems.isEmpty else { throw CrashFailure("verify: \(problems)") }
      await store.close()
    }
  }

  @Test(
    "a power cut or a kill at any moment of a migration leaves a store of the old or the new format, with all it held (HOSTILE 58)")
  func anyMoment() throws {
    var cuts = 0
    for steps in 1..<Schema.steps.count {
      let world = SimulatedStore(try Self.older(steps), seed: 58, recording: true)
      try world.executor.run {
        let store = try await world.open()
        await store.close()
      }
      var sweep = PowerCutSweep(base: world.disk.base, operations: world.disk.recording, seed: 58)
      while !sweep.isAtEnd {
        sweep.advance()
        for survival in Survival.allCases where survival == .kept || sweep.hasUnsynced {
          cuts += 1
          do { try Self.check(sweep.image(survival), seed: 58) } catch {
            throw CrashFailure(
              "from format \(steps), cut \(sweep.position) of \(world.disk.recording.count), \(survival): \(error)")
          }
        }
      }
    }
    print("figures: power cuts during migration: \(cuts) cuts, 0 lost")
    #expect(cuts > 50)
  }
}
