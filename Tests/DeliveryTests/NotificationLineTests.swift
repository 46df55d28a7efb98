import MailModel
import Outside
import Testing

@testable import Delivery

@Suite struct NotificationLineTests {
  @Test(
    "no line of a notification is longer than SMTP carries, whatever a host or a sender said without a space",
    arguments: [
      "x", "\u{FC}", "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}", "\u{1F600}\u{200D}\u{1F600}\u{200D} ", "\u{1}",
    ])
  func longWords(_ unit: String) {
    let said = String(repeating: unit, count: 2_000)
    let text = NotificationText(
      stage: .failed, hostname: "mx.own.test", id: QueueID(rawValue: 1), to: Rig.address("alice@own.test"),
      date: Timestamp(seconds: 0), boundary: "b", subject: QueueID(rawValue: 2), arrival: Timestamp(seconds: 0),
      envelopeID: String(said.prefix(100)),
      recipients: [
        .init(
          address: Rig.address("a@d.test"), originalRecipient: "utf-8;" + said, status: "5.0.0", explanation: said,
          diagnostic: .smtp(said), remoteHost: said)
      ], original: [], isWhole: false, isDoubleBounce: false)
    let lines = text.bytes().split(separator: 0x0A)
    #expect(lines.allSatisfy { $0.count <= 999 && $0.last == 0x0D }, "\(lines.map(\.count).max() ?? 0)")
  }
}
