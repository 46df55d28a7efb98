import Bytes
import InternetMessage
import MailModel
import Outside

/// How far a walk through the queue has come.
struct QueuePosition {
  /// The message last looked at.
  var after: Int64?
  var isAtEnd = false
}

/// Reading the queue.
enum QueueReading {
  /// Messages one call looks at: 5,000.
  private static let scan = 5_000

  /// The next messages that match with their matching recipients, by id (which is by received time), at most `limit`; fewer, without
  /// being at the end, after so many that do not match.
  static func page(
    of selection: QueueSelection, after position: inout QueuePosition, limit: Int, in database: Database
  ) throws -> [QueuedMessage] {
    let filter = SelectionFilter(selection)
    if let ids = filter.ids {
      position.isAtEnd = true
      return try ids.filter { id in position.after.map { Int64(bitPattern: id.rawValue) > $0 } ?? true }
        .compactMap { try message($0, filter, in: database) }.prefix(limit).map { $0 }
    }
    var found: [QueuedMessage] = []
    for _ in 0..<scan where found.count < limit {
      let next = try database.first(
        "SELECT message FROM recipients WHERE message > ? ORDER BY message LIMIT 1", [.int(position.after ?? Int64.min)]
      ) { $0.int(0) }
      // An id that does not rise is damage (`verify` tells): what follows would come again and again.
      guard let next, position.after.map({ next > $0 }) ?? true else {
        position.isAtEnd = true
        break
      }
      position.after = next
      if let message = try message(QueueID(rawValue: UInt64(bitPattern: next)), filter, in: database) { found.append(message) }
    }
    return found
  }

  private static func message(_ id: QueueID, _ filter: SelectionFilter, in database: Database) throws -> QueuedMessage? {
    let entries = try database.all(
      """
      SELECT message, id, state, due, attempts, delay_notified, domain, local, destination, reroute, notify, original, last_reply
      FROM recipients WHERE message = ? ORDER BY id
      """, [.id(id.rawValue)]
    ) { RecipientRow.entry($0) }
    let matching = entries.filter(filter.matches)
    guard !matching.isEmpty, var message = try MessageRow.queued(id, in: database), filter.matches(message.envelope) else {
      return nil
    }
    message.entries = matching
    return message
  }

  static func counts(in database: Database) throws -> QueueCounts {
    var counts = QueueCounts(messages: 0, waiting: 0, held: 0, claimed: 0)
    try database.each("SELECT state, count(*) FROM recipients GROUP BY state", []) { row in
      switch row.int(0) {
      case 0: counts.waiting = Int(row.int(1))
      case 1: counts.held = Int(row.int(1))
      default: counts.claimed = Int(row.int(1))
      }
      return true
    }
    counts.messages = try database.first("SELECT count(DISTINCT message) FROM recipients", []) { Int($0.int(0)) } ?? 0
    return counts
  }
}

/// A selection made ready to compare. Addresses compare without case; a sender of `<>` or nothing is the null path.
struct SelectionFilter {
  let ids: [QueueID]?
  private let sender: String?
  private let recipient: String?
  private let domain: String?

  init(_ selection: QueueSelection) {
    ids = selection.ids.isEmpty ? nil : Set(selection.ids).sorted()
    sender = selection.sender?.asciiLowercased
    recipient = selection.recipient?.asciiLowercased
    domain = selection.domain?.asciiLowercased
  }

  func matches(_ entry: QueueEntry) -> Bool {
    if let recipient, entry.address.plainText.asciiLowercased != recipient { return false }
    if let domain, entry.address.domain != domain, entry.destination.asciiLowercased != domain { return false }
    return true
  }

  func matches(_ envelope: Envelope) -> Bool {
    guard let sender else { return true }
    guard let path = envelope.reversePath else { return sender.isEmpty || sender == "<>" }
    return path.plainText.asciiLowercased == sender
  }
}
