import InternetMessage
import MailModel
import Outside

@testable import Delivery

/// A notification about anything that addresses, envelopes and foreign hosts hold: lines of CRLF alone that are not too long, the three
/// parts that a report has, and in the second, in ASCII, a group of fields for the message and one for each recipient.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var input = UnsafeBufferPointer(start: start, count: count)[...]
  guard let choice = input.popFirst() else { return 0 }
  let stages: [ComposedNotification.Stage] = [.failed, .delayed, .delivered, .relayed]
  let sender = address(&input)
  let envelopeID = piece(&input)
  var recipients: [NotificationText.Recipient] = []
  for _ in 0..<(1 + choice >> 6) {
    let recipient = address(&input)
    let original = piece(&input).map { "utf-8;\($0)" }
    let said = longPiece(&input)
    recipients.append(
      .init(
        address: recipient, originalRecipient: original, status: choice & 8 == 0 ? "5.1.1" : "4.4.1", explanation: said,
        diagnostic: choice & 16 == 0 ? .smtp(said) : .own(said), remoteHost: piece(&input)))
  }
  let text = NotificationText(
    stage: stages[Int(choice & 3)], hostname: "mx.own.test", id: QueueID(rawValue: 7), to: sender,
    date: Timestamp(seconds: 1_800_000_000),
    boundary: "=_boundary", subject: QueueID(rawValue: 6), arrival: Timestamp(seconds: 1_799_000_000),
    retryUntil: Timestamp(seconds: 1_900_000_000), envelopeID: envelopeID, recipients: recipients,
    original: Array((choice & 4 == 0 ? "Subject: hello\r\n\r\nHello.\r\n" : "Subject: \u{FC}\r\n\r\nHello.\r\n").utf8),
    isWhole: true,
    isDoubleBounce: choice & 32 != 0)
  check(text.bytes(), recipients: recipients.count, mayBeEightBit: text.hasEightBit)
  return 0
}

/// One that our parser reads: no other gets this far.
private func address(_ input: inout Slice<UnsafeBufferPointer<UInt8>>) -> EmailAddress {
  (try? AddressParser(allowsUTF8: true).mailbox(piece(&input) ?? "")) ?? EmailAddress(localPart: "a", domain: "d.test")
}

/// A length and so many octets.
private func piece(_ input: inout Slice<UnsafeBufferPointer<UInt8>>) -> String? {
  guard let length = input.popFirst(), length > 0 else { return nil }
  defer { input = input.dropFirst(Int(length)) }
  return String(decoding: input.prefix(Int(length)), as: UTF8.self)
}

/// The same, up to 4 KiB.
private func longPiece(_ input: inout Slice<UnsafeBufferPointer<UInt8>>) -> String {
  let length = Int(input.popFirst() ?? 0) * 16
  defer { input = input.dropFirst(length) }
  return String(decoding: input.prefix(length), as: UTF8.self)
}

private func check(_ bytes: [UInt8], recipients: Int, mayBeEightBit: Bool) {
  var observer = MessageObserver()
  bytes.withUnsafeBytes { observer.observe($0) }
  let seen = observer.finish()
  var lineStart = 0
  for (index, byte) in bytes.enumerated() {
    guard (byte == 0x0A) == (index > 0 && bytes[index - 1] == 0x0D), byte >= 0x20 || [0x09, 0x0A, 0x0D].contains(byte), byte != 0x7F
    else {
      fatalError("the octet \(byte) at \(index)")
    }
    if byte == 0x0A {
      guard index - 1 - lineStart <= 998 else { fatalError("a line of \(index - 1 - lineStart) octets") }
      lineStart = index + 1
    }
  }
  guard lineStart == bytes.count, mayBeEightBit || bytes.allSatisfy({ $0 < 0x80 }) else { fatalError("not whole, or 8 bits") }
  let parts = seen.parts.filter { $0.parent == 0 }
  guard parts.count == 3, seen.problem == nil else { fatalError("\(seen.parts)") }
  let report = bytes[parts[1].bodyStart..<parts[1].bodyEnd]
  guard report.allSatisfy({ $0 < 0x80 }) else { fatalError("a report that is not ASCII") }
  let lines = String(decoding: report, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
  var groups: [[Substring]] = [[]]
  for line in lines {
    if line.isEmpty { groups.append([]) } else if line.first != " " { groups[groups.count - 1].append(line.prefix { $0 != ":" }) }
  }
  groups.removeAll(where: \.isEmpty)
  guard groups.count == recipients + 1, groups[0].contains("Reporting-MTA") else { fatalError("\(groups)") }
  for group in groups {
    guard Set(group).count == group.count, group.allSatisfy({ name in name.utf8.allSatisfy { $0 > 0x20 } }) else {
      fatalError("\(group)")
    }
  }
  for group in groups.dropFirst() where !["Final-Recipient", "Action", "Status"].allSatisfy({ group.contains(Substring($0)) }) {
    fatalError("\(group)")
  }
}
