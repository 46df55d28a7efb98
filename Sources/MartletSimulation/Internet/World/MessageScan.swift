import Outside

/// What a notification says of one recipient.
struct Report: Equatable {
  var recipients: [String]
  var action: String
}

/// Reads what the simulation has put into its messages, and what notifications say.
enum MessageScan {
  /// The token in the header; empty if there is none: then nobody of the simulation wrote it.
  static func token(in bytes: [UInt8]) -> String {
    guard let start = bytes.firstIndex(of: Array("X-Token: ".utf8)) else { return "" }
    let rest = bytes[(start + 9)...]
    return String(decoding: rest.prefix { $0 != 0x0D && $0 != 0x0A }, as: UTF8.self)
  }

  /// The notification that these bytes are; nil if they are none.
  static func report(in bytes: [UInt8]) -> Report? {
    guard bytes.firstIndex(of: Array("report-type=delivery-status".utf8)) != nil else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    var recipients: [String] = []
    var action = ""
    for line in text.split(separator: "\r\n", omittingEmptySubsequences: true) {
      if line.hasPrefix("Final-Recipient: ") {
        recipients.append(String(line.split(separator: ";").last ?? "").trimmed)
      } else if line.hasPrefix("Action: ") {
        action = String(line.dropFirst(8)).trimmed
      }
    }
    return Report(recipients: recipients, action: action)
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop { $0 == " " }.reversed().drop { $0 == " " || $0 == "\r" }.reversed())
  }
}
