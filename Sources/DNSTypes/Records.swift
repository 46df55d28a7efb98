import Bytes
import Outside

/// A (RFC 1035, 3.4.1) and AAAA (RFC 3596, 2.2).
public enum AddressRecord {
  /// The address of an A record: exactly four octets.
  public static func a(_ data: [UInt8]) -> IPAddress? { data.count == 4 ? IPAddress(bytes: data) : nil }

  /// The address of an AAAA record: exactly sixteen octets (an IPv4-mapped one is IPv4).
  public static func aaaa(_ data: [UInt8]) -> IPAddress? { data.count == 16 ? IPAddress(bytes: data) : nil }
}

/// CNAME, PTR, NS (RFC 1035, 3.3): one name and nothing else.
public enum NameRecord {
  public static func parse(_ data: [UInt8]) -> DNSName? {
    var cursor = ByteCursor(data)
    guard let name = DNSName(&cursor), cursor.isAtEnd else { return nil }
    return name
  }
}

/// A mail exchanger (RFC 1035, 3.3.9).
public struct MXRecord: Hashable, Sendable {
  /// Lower comes first.
  public var preference: UInt16
  public var exchange: DNSName

  public init?(_ data: [UInt8]) {
    var cursor = ByteCursor(data)
    guard let preference = cursor.takeUInt16(), let exchange = DNSName(&cursor), cursor.isAtEnd else { return nil }
    self.preference = preference
    self.exchange = exchange
  }

  /// The domain takes no mail (RFC 7505, 3), if it is the only one.
  public var isNull: Bool { exchange.isRoot }
}

/// Text (RFC 1035, 3.3.14).
public struct TXTRecord: Hashable, Sendable {
  /// All strings joined without anything between, as SPF, DKIM, DMARC and others read them (RFC 7208, 3.3).
  public var text: [UInt8]
  /// How many there were.
  public var strings: Int

  /// Nil if a string is cut off, or there is none.
  public init?(_ data: [UInt8]) {
    var cursor = ByteCursor(data)
    text = []
    strings = 0
    while let length = cursor.next() {
      guard cursor.remaining >= Int(length) else { return nil }
      text += cursor.take(atMost: Int(length)) { _ in true }
      strings += 1
    }
    guard strings > 0 else { return nil }
  }
}

/// A server for a service (RFC 2782).
public struct SRVRecord: Hashable, Sendable {
  public var priority: UInt16
  public var weight: UInt16
  public var port: UInt16
  /// The root: the service is decidedly not there.
  public var target: DNSName

  public init?(_ data: [UInt8]) {
    var cursor = ByteCursor(data)
    guard let priority = cursor.takeUInt16(), let weight = cursor.takeUInt16(), let port = cursor.takeUInt16(),
      let target = DNSName(&cursor), cursor.isAtEnd
    else { return nil }
    self.priority = priority
    self.weight = weight
    self.port = port
    self.target = target
  }
}

/// What a server's certificate must be (RFC 6698, 2.1; for mail RFC 7672).
public struct TLSARecord: Hashable, Sendable {
  public var usage: UInt8
  public var selector: UInt8
  public var matchingType: UInt8
  /// At least one octet.
  public var association: [UInt8]

  public init?(_ data: [UInt8]) {
    var cursor = ByteCursor(data)
    guard let usage = cursor.next(), let selector = cursor.next(), let matchingType = cursor.next(), !cursor.isAtEnd else {
      return nil
    }
    self.usage = usage
    self.selector = selector
    self.matchingType = matchingType
    self.association = cursor.rest()
  }

  /// Whether SMTP can use it: DANE-TA(2) or DANE-EE(3), a known selector, and a known type with data of its length
  /// (RFC 7672, 3.1).
  public var isUsable: Bool {
    guard usage == 2 || usage == 3, selector <= 1 else { return false }
    switch matchingType {
    case 0: return true
    case 1: return association.count == 32
    case 2: return association.count == 64
    default: return false
    }
  }
}

extension ByteCursor {
  /// Takes two octets, the high one first.
  mutating func takeUInt16() -> UInt16? {
    guard let high = next(), let low = next() else { return nil }
    return UInt16(high) << 8 | UInt16(low)
  }
}
