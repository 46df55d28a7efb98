import Bytes
import Outside

/// Dates of messages (RFC 5322, 3.3 and 4.3): read as they are found, written as the RFC says.
public struct MailDate: Hashable, Sendable {
  /// Seconds since 1970-01-01T00:00:00Z.
  public var seconds: Int64
  /// East of UTC, in minutes: -1,439 to 1,439.
  public var zoneMinutes: Int

  public init(seconds: Int64, zoneMinutes: Int = 0) {
    self.seconds = seconds
    self.zoneMinutes = min(max(zoneMinutes, -1_439), 1_439)
  }

  private static let months: [StaticString] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  private static let days: [StaticString] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

  /// Reads a field value: the day's name, comments, two-digit years and named zones may be there or not. Nil for what is no
  /// date, a year outside of 1900 to 9999, a day that the month has not, an hour over 23.
  public init?(parsing value: [UInt8]) {
    var cursor = ByteCursor(Array(value.prefix(256)))
    Self.skipCFWS(&cursor)
    if cursor.peek?.isASCIILetter == true {
      _ = cursor.takeRange { $0.isASCIILetter || $0 == 0x2E }
      Self.skipCFWS(&cursor)
      _ = cursor.take(0x2C)
      Self.skipCFWS(&cursor)
    }
    guard let day = cursor.takeDecimal(digits: 2, maximum: 31), day > 0 else { return nil }
    Self.skipSeparator(&cursor)
    guard let month = Self.takeMonth(&cursor) else { return nil }
    Self.skipSeparator(&cursor)
    guard let year = Self.takeYear(&cursor) else { return nil }
    Self.skipCFWS(&cursor)
    guard let hour = cursor.takeDecimal(digits: 2, maximum: 23), Self.takeColon(&cursor),
      let minute = cursor.takeDecimal(digits: 2, maximum: 59)
    else { return nil }
    var second: UInt64 = 0
    if Self.takeColon(&cursor) {
      guard let found = cursor.takeDecimal(digits: 2, maximum: 60) else { return nil }
      second = min(found, 59)
    }
    Self.skipCFWS(&cursor)
    guard let zone = Self.takeZone(&cursor), Int64(day) <= Self.daysIn(month: month, year: year) else { return nil }
    let wholeDays = CivilTime.days(year: year, month: month, day: Int64(day))
    let local = wholeDays * 86_400 + Int64(hour) * 3_600 + Int64(minute) * 60 + Int64(second)
    self.init(seconds: local - Int64(zone) * 60, zoneMinutes: zone)
  }

  private static func takeMonth(_ cursor: inout ByteCursor) -> Int64? {
    for (index, name) in months.enumerated() where cursor.take(ignoringCase: name) {
      _ = cursor.takeRange { $0.isASCIILetter || $0 == 0x2E }
      return Int64(index) + 1
    }
    return nil
  }

  private static func takeYear(_ cursor: inout ByteCursor) -> Int64? {
    let start = cursor.position
    guard let number = cursor.takeDecimal(digits: 4) else { return nil }
    switch cursor.position - start {
    // RFC 5322, 4.3: two digits are 2000 to 2049 or 1950 to 1999, three are added to 1900.
    case 2: return Int64(number) + (number < 50 ? 2_000 : 1_900)
    case 3: return Int64(number) + 1_900
    case 4: return number >= 1_900 ? Int64(number) : nil
    default: return nil
    }
  }

  /// `+hhmm`, a name of RFC 5322, 4.3, or nothing; an unknown name says as much as `-0000`.
  private static func takeZone(_ cursor: inout ByteCursor) -> Int? {
    if let sign = cursor.peek, sign == 0x2B || sign == 0x2D {
      cursor.skip(1)
      let start = cursor.position
      guard let number = cursor.takeDecimal(digits: 4), cursor.position - start == 4 else { return nil }
      let (hours, minutes) = (number / 100, number % 100)
      guard hours <= 23, minutes <= 59 else { return nil }
      let total = Int(truncatingIfNeeded: hours * 60 + minutes)
      return sign == 0x2D ? -total : total
    }
    let zones: [(StaticString, Int)] = [
      ("EST", -300), ("EDT", -240), ("CST", -360), ("CDT", -300), ("MST", -420), ("MDT", -360), ("PST", -480), ("PDT", -420),
    ]
    for (name, minutes) in zones where cursor.take(ignoringCase: name) { return minutes }
    return 0
  }

  private static func takeColon(_ cursor: inout ByteCursor) -> Bool {
    let start = cursor.position
    skipCFWS(&cursor)
    if cursor.take(0x3A) {
      skipCFWS(&cursor)
      return true
    }
    cursor.reset(to: start)
    return false
  }

  private static func skipSeparator(_ cursor: inout ByteCursor) {
    skipCFWS(&cursor)
    _ = cursor.take(0x2D)
    skipCFWS(&cursor)
  }

  private static func skipCFWS(_ cursor: inout ByteCursor) {
    var depth = 0
    while let byte = cursor.peek {
      if byte == 0x28 {
        depth += 1
      } else if byte == 0x29, depth > 0 {
        depth -= 1
      } else if depth == 0, !byte.isASCIIBlank, byte != 0x0D, byte != 0x0A {
        return
      }
      cursor.skip(byte == 0x5C && depth > 0 ? 2 : 1)
    }
  }

  private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func daysIn(month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// What the calendar and the clock say in its zone. Held to the years 1 to 9999.
  private var parts: CivilTime {
    CivilTime(seconds: min(max(seconds, -62_135_000_000), 253_402_200_000) + Int64(zoneMinutes) * 60)
  }

  /// `Tue, 25 Nov 2026 00:26:26 +0000` (RFC 5322, 3.3).
  public var wire: [UInt8] {
    let parts = parts
    var text: [UInt8] = []
    text.reserveCapacity(32)
    Self.append(Self.days[Int(truncatingIfNeeded: parts.weekday)], to: &text)
    text += [0x2C, 0x20]
    Self.append(parts.day, digits: parts.day < 10 ? 1 : 2, to: &text)
    text.append(0x20)
    Self.append(Self.months[Int(truncatingIfNeeded: parts.month - 1)], to: &text)
    text.append(0x20)
    Self.append(parts.year, digits: 4, to: &text)
    text.append(0x20)
    Self.append(parts.hour, digits: 2, to: &text)
    text.append(0x3A)
    Self.append(parts.minute, digits: 2, to: &text)
    text.append(0x3A)
    Self.append(parts.second, digits: 2, to: &text)
    text += [0x20, zoneMinutes < 0 ? 0x2D : 0x2B]
    let zone = Int64(zoneMinutes.magnitude)
    Self.append(zone / 60 * 100 + zone % 60, digits: 4, to: &text)
    return text
  }

  /// The same as text.
  public var text: String { String(decoding: wire, as: UTF8.self) }

  private static func append(_ name: StaticString, to text: inout [UInt8]) { name.withUTF8Buffer { text += $0 } }

  private static func append(_ number: Int64, digits: Int, to text: inout [UInt8]) {
    var divisor: Int64 = 1
    for _ in 1..<max(digits, 2) where digits > 1 { divisor *= 10 }
    while divisor > 0 {
      text.append(0x30 + UInt8(truncatingIfNeeded: number / divisor % 10))
      divisor /= 10
    }
  }
}

extension MailDate {
  /// A moment as the date of a message, in UTC.
  public init(_ time: Timestamp) { self.init(seconds: time.seconds) }
}
