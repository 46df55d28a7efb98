import MailModel
import Outside
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

  @Test("an id tells when it was made") func time() {
    let time = Timestamp(microseconds: 1_700_000_000_123_456)
    #expect(QueueID(at: time, randomness: .max).time.microseconds == 1_700_000_000_123_000)
    #expect(QueueID(at: time, randomness: 1) < QueueID(at: time.advanced(by: .milliseconds(1)), randomness: 0))
    #expect(QueueID(at: Timestamp(microseconds: -5), randomness: 3).rawValue == 3)
  }
}
