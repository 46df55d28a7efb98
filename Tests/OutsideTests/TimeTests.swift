import Outside
import Testing

@Suite("Time")
struct TimeTests {
  @Test(
    "seconds that microseconds can't say are held at the ends of the range",
    arguments: [
      (.max, .max), (.min, .min), (9_223_372_036_855, .max), (9_223_372_036_854, 9_223_372_036_854_000_000),
      (-9_223_372_036_855, .min), (-9_223_372_036_854, -9_223_372_036_854_000_000), (0, 0), (-1, -1_000_000),
    ] as [(Int64, Int64)])
  func seconds(seconds: Int64, microseconds: Int64) {
    #expect(Timestamp(seconds: seconds).microseconds == microseconds)
  }

  @Test("seconds are rounded down, at the ends of the range too")
  func roundedDown() {
    #expect(Timestamp(microseconds: -1).seconds == -1)
    #expect(Timestamp(microseconds: 1_999_999).seconds == 1)
    #expect(Timestamp(microseconds: .min).seconds == -9_223_372_036_855)
    #expect(Timestamp(microseconds: .max).seconds == 9_223_372_036_854)
    #expect(Timestamp(microseconds: .min).advanced(by: .seconds(-1)).microseconds == .min)
    #expect(Timestamp(microseconds: .max).since(Timestamp(microseconds: .min)) == .microseconds(Int64.max))
  }
}
