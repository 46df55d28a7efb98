import Bytes
import MailModel
import Outside

/// `--since`, `--until`: a duration before now, or a date, in the zone of the person who asks unless it says `Z`.
enum SinceWords {
  /// - Parameter option: what it is called, for who got it wrong.
  static func time(_ text: String, _ context: AdminContext, option: String = "--since") throws(AdminFailure) -> Timestamp {
    if text.hasSuffix("w"), let weeks = Int64(text.dropLast()), weeks >= 0, weeks <= 5_200 {
      return context.clock.now().advanced(by: .seconds(-weeks * 604_800))
    }
    if let duration = Duration(configurationText: text) {
      return context.clock.now().advanced(by: .seconds(-duration.components.seconds))
    }
    guard let seconds = civil(text) else {
      throw AdminFailure(
        "\(option) \(String.escaped(text.utf8, limit: 80)): expected a duration (30m, 2h, 3d, 1w) or a date (2026-11-28, 2026-11-28T14:30, 2026-11-28T14:30:00Z)",
        exitCode: 64)
    }
    guard !text.hasSuffix("Z") else { return Timestamp(seconds: seconds) }
    return Timestamp(seconds: seconds.subtractedClamped(context.zoneOffset(at: Timestamp(seconds: seconds))))
  }

  private static func days(of month: Int64, in year: Int64) -> Int64 {
    let (next, following) = month == 12 ? (1, year + 1) : (month + 1, year)
    return CivilTime.days(year: following, month: next, day: 1) - CivilTime.days(year: year, month: month, day: 1)
  }

  /// Seconds since 1970 if the clock reads UTC.
  private static func civil(_ text: String) -> Int64? {
    var text = text[...]
    if text.hasSuffix("Z") { text = text.dropLast() }
    let parts = text.split(whereSeparator: { $0 == "T" || $0 == " " }).map(String.init)
    guard let date = parts.first, parts.count <= 2 else { return nil }
    let days = date.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
    guard days.count == 3, let year = days[0], let month = days[1], let day = days[2], (1970...9_999).contains(year),
      (1...12).contains(month), (1...31).contains(day), day <= Self.days(of: month, in: year)
    else { return nil }
    var seconds = CivilTime.days(year: year, month: month, day: day) * 86_400
    if parts.count == 2 {
      let clock = parts[1].split(separator: ":", omittingEmptySubsequences: false).map { Int64($0) }
      guard clock.count == 2 || clock.count == 3, let hour = clock[0], let minute = clock[1], (0...23).contains(hour),
        (0...59).contains(minute)
      else { return nil }
      guard let second = clock.count == 3 ? clock[2] : 0, (0...60).contains(second) else { return nil }
      seconds += hour * 3_600 + minute * 60 + second
    }
    return seconds
  }
}
