import MailModel
import Outside
import Synchronization
import Testing

@Suite struct QueueIDTests {
  @Test("every id survives its text, which has 13 characters and sorts as the id does")
  func roundTrip() {
    var values: [UInt64] = [0, 1, 31, 32, .max, .max - 1, 1 << 63]
    var state: UInt64 = 7
    for _ in 0..<1_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      values.append(state)
    }
    for value in values {
      let id = QueueID(rawValue: value)
      #expect(id.description.utf8.count == 13)
      #expect(QueueID(id.description) == id)
      #expect(QueueID(id.description.uppercased()) == id)
    }
    let sorted = values.map { QueueID(rawValue: $0) }.sorted()
    #expect(sorted.map(\.description) == sorted.map(\.description).sorted())
  }

  @Test(
    "what is not an id gives nil",
    arguments: ["", "0", "00000000000000", "000000000000u", "g000000000000", "zzzzzzzzzzzzz", "00000000000-0", "0000000000é0"])
  func refused(text: String) { #expect(QueueID(text) == nil) }

  @Test("letters people mistype are read as the digits they look like") func mistyped() {
    #expect(QueueID("OOOOOOOOOOOIL") == QueueID(rawValue: 33))
  }

  @Test("ids only grow: many in a millisecond, from many threads, when the clock goes back, and above what there was")
  func unique() async {
    let clock = SetClock(Timestamp(microseconds: 1_700_000_000_123_456))
    let ids = QueueIDs(after: QueueID(rawValue: 5), clock: clock, random: FixedRandom())
    let all = await withTaskGroup(of: [QueueID].self) { group in
      for _ in 0..<8 { group.addTask { (0..<20_000).map { _ in ids.next() } } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    for some in all { #expect(zip(some, some.dropFirst()).allSatisfy { $0 < $1 }) }
    #expect(Set(all.joined()).count == 160_000)
    let highest = all.joined().max()
    clock.set(Timestamp(microseconds: 1_600_000_000_000_000))
    let behind = ids.next()
    #expect(behind > highest ?? behind)
    clock.set(Timestamp(microseconds: 1_800_000_000_777_000))
    #expect(ids.next().time.microseconds == 1_800_000_000_777_000)
    let later = QueueIDs(after: behind, clock: SetClock(Timestamp(microseconds: 3)), random: FixedRandom())
    #expect(later.next() > behind)
  }

  @Test("an id tells when it was made") func time() {
    let time = Timestamp(microseconds: 1_700_000_000_123_456)
    #expect(QueueID(at: time, randomness: .max).time.microseconds == 1_700_000_000_123_000)
    #expect(QueueID(at: time, randomness: 1) < QueueID(at: time.advanced(by: .milliseconds(1)), randomness: 0))
    #expect(QueueID(at: Timestamp(microseconds: -5), randomness: 3).rawValue == 3)
  }
}

private final class SetClock: Clock {
  private let time: Mutex<Timestamp>
  init(_ time: Timestamp) { self.time = Mutex(time) }
  func set(_ new: Timestamp) { time.withLock { $0 = new } }
  func now() -> Timestamp { time.withLock { $0 } }
  func monotonic() -> MonotonicInstant { .never }
}

private struct FixedRandom: RandomSource {
  func next() -> UInt64 { .max }
}
