import Bytes

/// The content of an MX record (RFC 1035, 3.3.9).
struct MailExchanger: Hashable, Sendable {
  var preference: UInt16
  /// Lower case, without the final dot; empty for the root (null MX, RFC 7505, 3).
  var exchange: String

  /// Reads RDATA, uncompressed; `nil` unless it is a preference and one whole name that a host can have.
  init?(_ data: [UInt8]) {
    var cursor = ByteCursor(data)
    guard let high = cursor.next(), let low = cursor.next() else { return nil }
    preference = UInt16(high) << 8 | UInt16(low)
    var name: [UInt8] = []
    while let length = cursor.next(), length > 0 {
      guard length <= 63, cursor.remaining > Int(length) else { return nil }
      if !name.isEmpty { name.append(0x2E) }
      var left = Int(length)
      // A dot inside a label would read as two labels.
      let label = cursor.take(atMost: left) { $0 != 0x2E }
      left -= label.count
      guard left == 0, name.count + label.count <= 253 else { return nil }
      name += label.map(\.asciiLowercased)
    }
    guard cursor.isAtEnd, data.last == 0, name.isEmpty || DomainName.isValid(name) else { return nil }
    exchange = String(decoding: name, as: UTF8.self)
  }

  init(preference: UInt16, exchange: String) {
    self.preference = preference
    self.exchange = exchange
  }

  /// A null MX: no mail is accepted (RFC 7505, 3).
  var isNull: Bool { exchange.isEmpty }
}
