import Bytes
import MailModel

/// What became of a message in its mailboxes, written in the transaction that did it.
extension Writer {
  /// Adds to the history of a message that came by mail; one that was appended, or whose history is past its retention, has none.
  ///
  /// - Parameter prefix: what final delivery put in front, which names the recipient whose copy it is.
  func trace(_ kind: TraceEvent.Kind, of message: Int64, prefix: [UInt8], _ detail: [TraceEvent.Detail]) throws {
    guard let recipient = DeliveryPrefix.recipient(of: prefix) else { return }
    let isKept = try database.first("SELECT 1 FROM trace WHERE id = ? LIMIT 1", [.int(message)]) { _ in true } ?? false
    guard isKept else { return }
    try appendTrace(
      QueueID(rawValue: UInt64(bitPattern: message)), [TraceEvent(time: now(), kind: kind, recipient: recipient, detail: detail)])
  }
}

extension DeliveryPrefix {
  /// The address in `Delivered-To`, which `fields` wrote; nil if there is none.
  static func recipient(of prefix: [UInt8]) -> String? {
    let name = Array("\r\nDelivered-To: ".utf8)
    guard let field = prefix.firstRange(of: name) else { return nil }
    let value = prefix[field.upperBound...].prefix { $0 != 0x0D && $0 != 0x0A }
    return value.isEmpty ? nil : String(decoding: value, as: UTF8.self)
  }
}
