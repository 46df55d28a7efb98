import Bytes

/// `Message-ID`, `In-Reply-To` and `References` (RFC 5322, 3.6.4).
public enum MessageIDs {
  /// Longest id that is kept, in octets.
  public static let longest = 998

  /// The ids in an unfolded field value, without brackets, in order; of more than `limit` the first and the last ones. What
  /// stands outside of brackets is passed over.
  public static func parse(_ value: [UInt8], limit: Int = 100) -> [String] {
    var cursor = ByteCursor(value)
    var first: String?
    var others: [String] = []
    while true {
      _ = cursor.takeRange { $0 != 0x3C }
      guard cursor.take(0x3C) else { break }
      let range = cursor.takeRange { $0 != 0x3E && $0 != 0x3C }
      guard cursor.take(0x3E) else { continue }
      guard let id = text(cursor[range]) else { continue }
      if first == nil { first = id } else { others.append(id) }
      // Amortised: what is dropped was added once.
      if others.count > 2 * max(limit, 1) { others.removeFirst(max(others.count - limit, 0)) }
    }
    guard let first, limit > 0 else { return [] }
    return [first] + others.suffix(max(limit - 1, 0))
  }

  /// The one id of a `Message-ID` field: what stands in brackets, or the whole value where some write none.
  public static func single(_ value: [UInt8]) -> String? {
    parse(value, limit: 1).first ?? text(value[...].filter { $0 != 0x3C && $0 != 0x3E }[...])
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String? {
    let id = bytes.filter { !$0.isASCIIBlank && !$0.isASCIIControl }
    guard !id.isEmpty, id.count <= longest else { return nil }
    return String(decoding: id, as: UTF8.self)
  }
}
