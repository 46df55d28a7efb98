import Bytes

/// A domain name as its labels (RFC 1035, 3.1), in lower case. The root has none.
public struct DNSName: Hashable, Sendable, CustomStringConvertible {
  /// Octets of a name on the wire, with lengths and the root.
  public static let longest = 255
  /// Octets of a label.
  public static let longestLabel = 63

  public let labels: [[UInt8]]

  /// The empty name: of a null MX (RFC 7505, 3), of an SRV that says "no" (RFC 2782).
  public var isRoot: Bool { labels.isEmpty }

  private init(labels: [[UInt8]]) { self.labels = labels }

  /// Takes an uncompressed name off the wire; nil if it is cut off, too long, or compressed (RDATA from the resolver is not).
  public init?(_ cursor: inout ByteCursor) {
    var labels: [[UInt8]] = []
    var octets = 1
    while let length = cursor.next() {
      guard length > 0 else {
        self.init(labels: labels)
        return
      }
      octets += Int(length) + 1
      guard length <= Self.longestLabel, octets <= Self.longest, cursor.remaining >= Int(length) else { return nil }
      labels.append(cursor.take(atMost: Int(length)) { _ in true }.map(\.asciiLowercased))
    }
    return nil
  }

  /// Reads presentation form (RFC 1035, 5.1): dots between labels, one at the end or not, `\.` and `\DDD` for octets that
  /// would be syntax. ASCII; names beyond it are for `InternationalDomain` first.
  public init?(_ text: String) {
    var cursor = ByteCursor(Array(text.utf8.prefix(4 * Self.longest + 1)))
    var labels: [[UInt8]] = []
    var label: [UInt8] = []
    var octets = 1
    if cursor.remaining == 1, cursor.peek == 0x2E { cursor.skip(1) }
    while let byte = cursor.next() {
      if byte == 0x2E {
        guard !label.isEmpty else { return nil }
        labels.append(label)
        label = []
        continue
      }
      guard let octet = byte == 0x5C ? Self.takeEscape(&cursor) : byte, byte < 0x80, label.count < Self.longestLabel else {
        return nil
      }
      octets += label.isEmpty ? 2 : 1
      guard octets <= Self.longest else { return nil }
      label.append(octet.asciiLowercased)
    }
    if !label.isEmpty { labels.append(label) }
    self.init(labels: labels)
  }

  private static func takeEscape(_ cursor: inout ByteCursor) -> UInt8? {
    guard let next = cursor.peek else { return nil }
    guard next.isASCIIDigit else { return cursor.next() }
    // Exactly three: a digit behind them is the next octet.
    let digits = cursor.take(atMost: 3, while: \.isASCIIDigit)
    let number = digits.reduce(0) { $0 * 10 + Int($1 &- 0x30) }
    return digits.count == 3 && number <= 255 ? UInt8(truncatingIfNeeded: number) : nil
  }

  /// The wire form.
  public var wire: [UInt8] { labels.flatMap { [UInt8(truncatingIfNeeded: $0.count)] + $0 } + [0] }

  /// The presentation form without the final dot; empty for the root.
  public var description: String {
    var text: [UInt8] = []
    for (index, label) in labels.enumerated() {
      if index > 0 { text.append(0x2E) }
      for byte in label {
        if byte == 0x2E || byte == 0x5C {
          text += [0x5C, byte]
        } else if byte.isASCIIVisible {
          text.append(byte)
        } else {
          text += [0x5C, 0x30 + byte / 100, 0x30 + byte / 10 % 10, 0x30 + byte % 10]
        }
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Whether a host can have it: labels of letters, digits, inner hyphens, and the underscore that is seen (RFC 1123, 2.1).
  public var isHostName: Bool {
    !isRoot
      && labels.allSatisfy { label in
        label.first != 0x2D && label.last != 0x2D && label.allSatisfy { $0.isASCIIAlphanumeric || $0 == 0x2D || $0 == 0x5F }
      }
  }
}
