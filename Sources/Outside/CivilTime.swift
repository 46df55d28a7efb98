/// A moment as the Gregorian calendar and the clock tell it, in UTC; total.
public struct CivilTime: Hashable, Sendable {
  /// Year 0 is the one before year 1.
  public let year: Int64
  /// 1 to 12.
  public let month: Int64
  /// 1 to 31.
  public let day: Int64
  public let hour: Int64
  public let minute: Int64
  public let second: Int64
  /// 0 is Thursday, the day of 1970-01-01.
  public let weekday: Int64

  /// Of so many seconds since 1970-01-01T00:00:00Z.
  public init(seconds: Int64) {
    let dayNumber = Self.floorDivided(seconds, 86_400)
    let secondOfDay = seconds - dayNumber * 86_400
    // The year begins in March, so that the leap day comes last; eras of 400 years have 146,097 days each.
    let fromMarch = dayNumber + 719_468
    let era = Self.floorDivided(fromMarch, 146_097)
    let dayOfEra = fromMarch - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    hour = secondOfDay / 3_600
    minute = secondOfDay / 60 % 60
    second = secondOfDay % 60
    weekday = dayNumber - Self.floorDivided(dayNumber, 7) * 7
  }

  /// Days from 1970-01-01 to a date. For years of a few thousand; months 1 to 12.
  public static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let monthFromMarch = (month + 9) % 12
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    return 365 * shifted + floorDivided(shifted, 4) - floorDivided(shifted, 100) + floorDivided(shifted, 400) + dayOfYear - 719_468
  }

  private static func floorDivided(_ value: Int64, _ by: Int64) -> Int64 {
    value / by - (value % by < 0 ? 1 : 0)
  }
}
