import Bytes
import DNSTypes

/// The content of an MX record (RFC 1035, 3.3.9).
struct MailExchanger: Hashable, Sendable {
  var preference: UInt16
  /// Lower case, without the final dot; empty for the root (null MX, RFC 7505, 3).
  var exchange: String

  /// Reads RDATA; `nil` unless it is a preference and one whole name that a host can have.
  init?(_ data: [UInt8]) {
    guard let record = MXRecord(data) else { return nil }
    preference = record.preference
    exchange = record.isNull ? "" : record.exchange.description.asciiLowercased
    guard record.isNull || DomainName.isValid(exchange.utf8) else { return nil }
  }

  init(preference: UInt16, exchange: String) {
    self.preference = preference
    self.exchange = exchange
  }

  /// A null MX: no mail is accepted (RFC 7505, 3).
  var isNull: Bool { exchange.isEmpty }
}
