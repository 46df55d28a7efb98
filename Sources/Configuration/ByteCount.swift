import Bytes

/// A number of octets.
public struct ByteCount: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var octets: Int64

  public init(octets: Int64) { self.octets = octets }

  public static func < (left: Self, right: Self) -> Bool { left.octets < right.octets }

  /// The octets as `Int`.
  public var count: Int { Int(clamping: octets) }

  /// `50MB` (10^6), `10MiB` (2^20), `4096`, `64kB`: whole numbers only, letters of any case, a space before the unit or not.
  /// Units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB, and K, M, G, T as the powers of 1,024. Nil if it is none of these, has more
  /// than 20 digits, or does not fit.
  public init?(_ text: String) {
    var cursor = ByteCursor(Array(text.utf8))
    guard let number = cursor.takeDecimal(), let value = Int64(exactly: number) else { return nil }
    _ = cursor.take(0x20)
    let unit = String(decoding: cursor.rest(), as: UTF8.self).asciiLowercased
    guard let factor = Self.units[unit], let octets = value.multipliedChecked(by: factor) else { return nil }
    self.octets = octets
  }

  private static let units: [String: Int64] = [
    "": 1, "b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
  ]

  /// For people: `512 B`, `1.4 MB`, `50 MB`.
  public var description: String {
    var value = Double(octets)
    for unit in ["B", "kB", "MB", "GB"] {
      if abs(value) < 999.5 { return Self.short(value) + " " + unit }
      value /= 1_000
    }
    return Self.short(value) + " TB"
  }

  private static func short(_ value: Double) -> String {
    let tenths = (value * 10).rounded()
    if abs(tenths) >= 100 || tenths.truncatingRemainder(dividingBy: 10) == 0 { return String(Int64(value.rounded())) }
    return String(tenths / 10)
  }
}
