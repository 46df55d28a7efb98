import Bytes
import Outside

extension Duration {
  /// `30s`, `5m`, `4h`, `5d`: a number and one unit. Nil if it is not that or longer than 100 years.
  public init?(configurationText text: String) {
    var cursor = ByteCursor(Array(text.utf8))
    guard let number = cursor.takeDecimal(maximum: 3_153_600_000), let value = Int64(exactly: number) else { return nil }
    let factor: Int64
    switch String(decoding: cursor.rest(), as: UTF8.self) {
    case "s": factor = 1
    case "m": factor = 60
    case "h": factor = 3_600
    case "d": factor = 86_400
    default: return nil
    }
    guard let seconds = value.multipliedChecked(by: factor), seconds <= 3_153_600_000 else { return nil }
    self = .seconds(seconds)
  }

  /// The same form, in the largest unit that fits exactly.
  public var configurationText: String {
    let seconds = components.seconds
    if seconds > 0, seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
    if seconds > 0, seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
    if seconds > 0, seconds % 60 == 0 { return "\(seconds / 60)m" }
    return "\(seconds)s"
  }
}
