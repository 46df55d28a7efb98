import MailModel
import Outside

@testable import MailStore

/// Histories by the million: what a busy server's trace holds, written as fast as rows can be.
enum TraceFilling {
  /// Recipients that messages go round to.
  static let recipients: UInt64 = 200_000
  static let senders: UInt64 = 5_000

  /// Half a second after each other.
  static func id(_ number: UInt64) -> QueueID {
    QueueID(at: Timestamp(microseconds: 1_780_000_000_000_000 &+ Int64(number) &* 500_000), randomness: number)
  }

  static func recipient(_ number: UInt64) -> String { "user\(number &* 7_919 % recipients)@customer\(number % 997).example.org" }
  static func sender(_ number: UInt64) -> String { "news\(number &* 31 % senders)@sender.example.net" }
  static func messageID(_ number: UInt64) -> String { "\(number).\(number &* 48_271 % 65_521)@sender.example.net" }

  /// One message relayed: three events in two rows.
  static func insert(_ number: UInt64, into writer: Writer) throws {
    let id = Int64(bitPattern: id(number).rawValue)
    let time = Timestamp(microseconds: 1_780_000_000_000_000 &+ Int64(number) &* 500_000)
    var record = AcceptanceRecord()
    record.hadRecipients = true
    record.names = [sender(number), recipient(number), messageID(number)]
    record.events = [
      TraceEvent(
        time: time, kind: .received,
        detail: [
          .init("client", "192.0.2.\(number % 250)"), .init("helo", "mail.sender.example.net"), .init("with", "ESMTPS"),
          .init("at", "198.51.100.1:25"), .init("tls", "TLSv1.3 TLS_AES_256_GCM_SHA384"), .init("from", sender(number)),
          .init("to", recipient(number)), .init("size", "4096"), .init("message-id", messageID(number)), .init("hops", "1"),
          .init("verdict", "accept"), .init("because", "relay domain"),
        ]), TraceEvent(time: time, kind: .queued, recipient: recipient(number)),
    ]
    try writer.insertTrace(id, seq: 0, record.packed(), isNamed: true)
    try writer.appendTrace(
      QueueID(rawValue: UInt64(bitPattern: id)),
      [
        TraceEvent(
          time: time, kind: .relayed, recipient: recipient(number),
          detail: [
            .init("route", "mx"), .init("dns", "MX 10 mx.example.org; A mx.example.org 203.0.113.7"), .init("dnssec", "secure"),
            .init("host", "mx.example.org"), .init("address", "203.0.113.7:25"), .init("tls", "TLSv1.3 TLS_AES_256_GCM_SHA384"),
            .init("reply", "250 2.0.0 Ok: queued as 4Zb1Qk2mT8z9vC"),
          ])
      ])
  }
}
