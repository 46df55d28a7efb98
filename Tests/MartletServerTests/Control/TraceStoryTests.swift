import Configuration
import MailModel
import MailStore
import Outside
import Testing

@testable import MartletServer

@Suite("What a trace comes to")
struct TraceStoryTests {
  private static func event(_ kind: TraceEvent.Kind, _ recipient: String? = nil, _ facts: KeyValuePairs<String, String> = [:])
    -> TraceEvent
  {
    TraceEvent(
      time: Timestamp(seconds: 1_790_000_000), kind: kind, recipient: recipient, detail: facts.map { .init($0.key, $0.value) })
  }

  private static let received = event(
    .received, nil, ["client": "192.0.2.7", "from": "c@x.net", "to": "a@x.org b@x.org", "message-id": "m@x.net"])

  @Test("each recipient's outcome follows from its events, the last one counts")
  func outcomes() {
    let cases: [([TraceEvent], [String])] = [
      ([], ["accepted", "accepted"]),
      (
        [Self.event(.delivered, "a@x.org", ["mailbox": "INBOX", "uid": "3"]), Self.event(.queued, "b@x.org")],
        ["delivered", "queued"]
      ),
      (
        [
          Self.event(.queued, "a@x.org"), Self.event(.attempted, "a@x.org", ["reply": "450 no"]),
          Self.event(.deferred, "a@x.org", ["next": "5"]),
        ], ["deferred", "accepted"]
      ),
      (
        [
          Self.event(.queued, "a@x.org"), Self.event(.attempted, "a@x.org", ["reply": "550 no"]),
          Self.event(.deferred, "a@x.org", ["kept": "soft-bounce: it would have been returned", "next": "5"]),
        ], ["kept", "accepted"]
      ),
      // Put off before it came into the queue.
      ([Self.event(.deferred, "a@x.org", ["reason": "full"]), Self.event(.queued, "a@x.org")], ["deferred", "accepted"]),
      ([Self.event(.queued, "a@x.org", ["held": "until released"])], ["held", "accepted"]),
      ([Self.event(.queued, "a@x.org"), Self.event(.held, "a@x.org"), Self.event(.released, "a@x.org")], ["queued", "accepted"]),
      (
        [Self.event(.queued, "a@x.org"), Self.event(.relayed, "a@x.org", ["host": "mx", "reply": "250 ok"])],
        ["relayed", "accepted"]
      ),
      ([Self.event(.queued, "b@x.org"), Self.event(.removed, "b@x.org")], ["accepted", "removed"]),
      ([Self.event(.bounced, "b@x.org", ["reason": "550 no"])], ["accepted", "bounced"]),
      ([Self.event(.expanded, "a@x.org", ["to": "d@x.org", "because": "alias"])], ["expanded", "accepted"]),
      ([Self.event(.refused, "b@x.org", ["reply": "552 full"])], ["accepted", "refused"]),
      ([Self.event(.discarded, "b@x.org", ["reason": "null reverse-path"])], ["accepted", "discarded"]),
    ]
    for (events, expected) in cases {
      #expect(TraceStory([Self.received] + events).recipients.map(\.outcome.rawValue) == expected)
    }
  }

  @Test("a copy is where it was moved to last; copies and removals of other copies change nothing")
  func moves() {
    let story = TraceStory([
      Self.received, Self.event(.delivered, "a@x.org", ["mailbox": "INBOX", "uid": "3"]),
      Self.event(.copied, "a@x.org", ["from": "INBOX", "from-uid": "3", "mailbox": "Copies", "uid": "9"]),
      Self.event(.moved, "a@x.org", ["from": "INBOX", "from-uid": "3", "mailbox": "Archive", "uid": "1"]),
      Self.event(.moved, "a@x.org", ["from": "Copies", "from-uid": "9", "mailbox": "Junk", "uid": "4"]),
      Self.event(.expunged, "a@x.org", ["mailbox": "Junk", "uid": "4"]),
    ])
    #expect(story.recipients[0].outcome == .delivered && story.recipients[0].mailbox == "Archive" && story.recipients[0].uid == "1")
    #expect(story.recipients[0].moved != nil)
  }

  @Test("a message that was refused whole is refused for each of its recipients")
  func refused() {
    let story = TraceStory([
      Self.event(
        .refused, nil, ["client": "192.0.2.7", "from": "<>", "to": "a@x.org b@x.org", "reply": "554 loop", "reason": "99 hops"])
    ])
    #expect(story.sender == "" && story.recipients.map(\.outcome) == [.refused, .refused])
    #expect(story.recipients.map(\.reason) == ["554 loop", "554 loop"])
  }

  @Test("a bounce names the notification that told of it, unless nobody was told")
  func notifications() {
    let story = TraceStory([
      Self.received, Self.event(.notified, nil, ["id": "N1", "to": "c@x.net", "stage": "failed"]),
      Self.event(.bounced, "a@x.org", ["reason": "550 no"]),
      Self.event(.bounced, "b@x.org", ["reason": "550 no", "told": "nobody"]),
    ])
    #expect(story.notifications.map(\.id) == ["N1"])
    #expect(story.recipients.map(\.notification) == ["N1", nil])
  }

  @Test("--since takes durations and dates, in the zone of whoever asks, and says what it takes")
  func since() async throws {
    let stage = try await CommandStage()
    let context = AdminContext(
      store: stage.store, configuration: stage.configuration, live: nil, clock: FixedClock(), output: CapturedOutput(),
      timeZone: .init(secondsFromGMT: 7_200) ?? .gmt)
    let now = FixedClock.time
    #expect(try SinceWords.time("90s", context) == Timestamp(seconds: now - 90))
    #expect(try SinceWords.time("3d", context) == Timestamp(seconds: now - 259_200))
    #expect(try SinceWords.time("2w", context) == Timestamp(seconds: now - 1_209_600))
    #expect(try SinceWords.time("1970-01-02", context) == Timestamp(seconds: 86_400 - 7_200))
    #expect(try SinceWords.time("1970-01-02T00:00:30Z", context) == Timestamp(seconds: 86_430))
    #expect(try SinceWords.time("1970-01-02 03:00", context) == Timestamp(seconds: 86_400 + 3 * 3_600 - 7_200))
    for wrong in [
      "", "yesterday", "-3d", "1970-13-01", "1970-01-02T25:00", "1970-01-02T1", "99999999999999999999d", "1970-01-0x", "1970-02-29",
      "1971-04-31",
    ] {
      #expect(throws: AdminFailure.self) { try SinceWords.time(wrong, context) }
    }
    await stage.end()
  }

  @Test("the DNS answers of a trace are read back as they were written")
  func recordedAnswers() async {
    let resolver = RecordedResolver(
      records:
        "CNAME x.org y.org; MX 10 mx1.y.org; MX 20 mx2.y.org; AAAA mx1.y.org 2001:db8::1; A mx1.y.org (alias of h.y.org) 192.0.2.1 192.0.2.2; A mx2.y.org failed: SERVFAIL",
      dnssec: "secure")
    let mx = await resolver.resolve(DNSQuestion("x.org", .mx))
    #expect(mx.canonicalName == "y.org" && mx.security == .secure && mx.records.count == 2)
    #expect(mx.records[0] == [0, 10, 3] + Array("mx1".utf8) + [1] + Array("y".utf8) + [3] + Array("org".utf8) + [0])
    #expect(await resolver.resolve(DNSQuestion("mx1.y.org", .a)).records == [[192, 0, 2, 1], [192, 0, 2, 2]])
    #expect(await resolver.resolve(DNSQuestion("mx1.y.org", .aaaa)).records.first?.count == 16)
    #expect(await resolver.resolve(DNSQuestion("mx2.y.org", .a)).status == .failure("SERVFAIL"))
    #expect(
      await RecordedResolver(records: "MX z.org NXDOMAIN", dnssec: nil).resolve(DNSQuestion("z.org", .mx)).status == .noSuchName)
    #expect(await RecordedResolver(records: "MX z.org 0 .", dnssec: nil).resolve(DNSQuestion("z.org", .mx)).records == [[0, 0, 0]])
    // Whatever else stands there.
    for junk in [";;;", "MX", "MX x", "A", "MX 99999 a", "A b c d", "AAAA  ", "MX 1 " + String(repeating: "a", count: 300)] {
      _ = await RecordedResolver(records: junk, dnssec: "bogus").resolve(DNSQuestion("b", .mx))
    }
  }
}

private struct FixedClock: Clock {
  static let time: Int64 = 1_790_000_000
  func now() -> Timestamp { Timestamp(seconds: Self.time) }
  func monotonic() -> MonotonicInstant { MonotonicInstant(nanoseconds: 1) }
}
