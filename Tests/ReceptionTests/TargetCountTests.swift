import InternetMessage
import MailModel
import Outside
import SMTP
import Testing

@testable import Reception

@Suite("Counting what recipients lead to")
struct TargetCountTests {
  private static func list(_ name: String, local: Range<Int> = 0..<0, remote: Range<Int> = 0..<0, dead: Range<Int> = 0..<0)
    -> JudgedRecipient
  {
    JudgedRecipient(
      recipient: SMTPRecipient(address: EmailAddress(localPart: name, domain: "example.test")),
      local: local.map {
        .init(account: AccountID(rawValue: Int64($0)), address: EmailAddress(localPart: "u\($0)", domain: "example.test"))
      },
      remote: remote.map { EmailAddress(localPart: "r\($0)", domain: "out.test") },
      undeliverable: dead.map { EmailAddress(localPart: "d\($0)", domain: "example.test") }, explanation: "alias")
  }

  /// What is said of each, and what a message for those that fit would be stored as.
  private static func told(_ lists: [JudgedRecipient], limit: Int) -> (answers: [TargetCount.Answer], stored: Int) {
    var count = TargetCount(limit: limit)
    var taken: [JudgedRecipient] = []
    let answers = lists.map { list in
      let answer = count.add(list, to: taken)
      if answer == .fits { taken.append(list) }
      return answer
    }
    let division = Division(of: taken, due: Timestamp(seconds: 0))
    return (answers, division.deliveries.count + division.queued.count)
  }

  @Test("each mailbox and address counts once; exactly as many as the limit fit")
  func together() {
    let told = Self.told(
      [
        Self.list("a", local: 0..<4), Self.list("b", local: 2..<5, remote: 0..<2), Self.list("c", dead: 0..<4),
        Self.list("d", dead: 0..<3), Self.list("e", local: 0..<5, remote: 0..<2), Self.list("f", remote: 2..<3),
      ], limit: 10)
    #expect(told.answers == [.fits, .fits, .tooManyTogether, .fits, .fits, .tooManyTogether])
    #expect(told.stored == 10)
  }

  @Test("one that never fits is told so, whatever came before")
  func alone() {
    let told = Self.told(
      [Self.list("a", local: 0..<6, dead: 0..<5), Self.list("b", local: 0..<9), Self.list("a", remote: 0..<11)], limit: 10)
    #expect(told.answers == [.tooManyAlone, .fits, .tooManyAlone])
    #expect(told.stored == 9)
  }
}
