import InternetMessage
import MailModel
import MartletSimulation
import Outside
import Testing

@testable import MailStore

/// Numbers that are made of the time must grow, whatever the clock does.
@Suite("Numbers and the clock")
struct ClockNumberTests {
  @Test("no UIDVALIDITY comes twice and no MODSEQ goes back while the clock jumps back, stands still or runs ahead (HOSTILE 59)")
  func numbers() throws {
    let world = SimulatedStore(seed: 59, recording: true)
    let clock = world.executor.clock
    try world.executor.run {
      let account = EmailAddress(localPart: "a", domain: "example.test")
      var store = try await world.open()
      try await store.addDomain(Domain(name: "example.test", kind: .local))
      let id = try await store.addAccount(address: account, passwordHash: "", quota: 0, created: clock.now()).id
      let inbox = try await store.mailbox("INBOX", of: id).id
      var greatest: UInt32 = 0
      var sequence = ModSeq(rawValue: 0)
      for jump in [0, -86_400, 0, 315_576_000, -315_576_000, -1, -1, -1_000_000_000, 0, 0, 5] {
        clock.jump(by: .seconds(jump))
        let made = try await store.createMailbox("again", of: id, specialUse: nil)
        #expect(made.uidValidity.rawValue > greatest)
        greatest = max(greatest, made.uidValidity.rawValue)
        try await store.deleteMailbox("again", of: id)
        let spool = store.makeSpool()
        let message = AppendedMessage(flags: Flags(), internalDate: clock.now(), summary: MessageSummary())
        _ = try await store.append(message, body: try await spool.finish(), to: inbox)
        let now = try await store.mailbox("INBOX", of: id).highestModSeq
        #expect(now > sequence)
        sequence = now
        // The same across a start.
        await store.close()
        store = try await world.open()
      }
      await store.close()
    }
  }
}
