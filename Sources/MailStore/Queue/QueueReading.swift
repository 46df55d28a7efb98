import Bytes
import InternetMessage
import MailModel
import Outside

/// How far a walk through the queue has come.
struct QueuePosition {
  /// The message last looked at.
  var after: QueueID?
  var isAtEnd = false
}

/// Reading the queue.
enum QueueReading {
  /// Where a page ends.
  struct Bounds {
    /// Messages found: at most.
    var messages: Int
    /// Recipients found: with the message that reaches it.
    var recipients: Int
    /// Messages looked at: 5,000.
    var scan = 5_000
  }

  /// The next messages that match with their matching recipients, by id (which is by received time), within `bounds`; fewer, without
  /// being at the end, after so many that do not match.
  static func page(
    of filter: SelectionFilter, after position: inout QueuePosition, _ bounds: Bounds, in database: Database
  ) throws -> [QueuedMessage] {
    var found: [QueuedMessage] = []
    var recipients = 0
    for _ in 0..<max(bounds.scan, 1) where found.count < bounds.messages && recipients < bounds.recipients {
      guard let next = try next(after: position.after, filter, in: database) else {
        position.isAtEnd = true
        break
      }
      position.after = next
      guard let message = try message(next, filter, in: database) else { continue }
      recipients += message.entries.count
      found.append(message)
    }
    return found
  }

  private static func next(after: QueueID?, _ filter: SelectionFilter, in database: Database) throws -> QueueID? {
    if let ids = filter.ids {
      guard let after else { return ids.first }
      let place = index(in: ids, behind: after)
      return ids.indices.contains(place) ? ids[place] : nil
    }
    let next = try database.first(
      "SELECT message FROM recipients WHERE message > ? ORDER BY message LIMIT 1",
      [.int(after.map { Int64(bitPattern: $0.rawValue) } ?? Int64.min)]
    ) { QueueID(rawValue: UInt64(bitPattern: $0.int(0))) }
    // An id that does not rise is damage (`verify` tells): what follows would come again and again.
    guard let next, let after, Int64(bitPattern: next.rawValue) <= Int64(bitPattern: after.rawValue) else { return next }
    return nil
  }

  /// The first of sorted `ids` behind `after`, by halving: an order may name many.
  private static func index(in ids: [QueueID], behind after: QueueID) -> Int {
    var low = ids.startIndex
    var high = ids.endIndex
    while low < high {
      let middle = low + (high - low) / 2
      if Int64(bitPattern: ids[middle].rawValue) > Int64(bitPattern: after.rawValue) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// A message with those of its recipients that match; nil if none does.
  static func message(_ id: QueueID, _ filter: SelectionFilter, in database: Database) throws -> QueuedMessage? {
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
    // Those that are kept: from the prefix to the first text behind all that begin with it.
    let kept = QueueEntry.keptPrefix
    try database.each(
      "SELECT state, count(*), coalesce(sum(last_reply >= ?1 AND last_reply < ?2), 0) FROM recipients GROUP BY state",
      [.text(kept), .text(kept.dropLast() + "!")]
    ) { row in
      counts.kept += Int(clamping: row.int(2))
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
    ids =
      selection.ids.isEmpty
      ? nil : Set(selection.ids).sorted { Int64(bitPattern: $0.rawValue) < Int64(bitPattern: $1.rawValue) }
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
