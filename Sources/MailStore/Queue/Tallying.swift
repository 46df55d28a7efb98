import MailModel
import Outside

/// What waits for one destination.
public struct QueueTally: Hashable, Sendable {
  /// As stored: a domain, an address literal, or a next hop's text without its password.
  public var destination: String
  /// Recipients that wait, are held, or are in delivery's hands.
  public var waiting = 0
  public var held = 0
  public var claimed = 0
  /// Of all these, those whose permanent failure is kept.
  public var kept = 0
  /// The oldest message.
  public var oldest: QueueID
  /// When the next of those that wait is due; nil: none waits.
  public var nextDue: Timestamp?
  /// The reply or reason of the recipient that was put off furthest, by and large the one tried most; empty if none was tried.
  public var lastReply = ""
  /// When that one is due.
  var lastDue = Timestamp(microseconds: .min)

  public init(destination: String, oldest: QueueID) {
    self.destination = destination
    self.oldest = oldest
  }

  /// Recipients.
  public var queued: Int { waiting + held + claimed }

  /// Adds what another slice has for the same destination.
  public mutating func add(_ other: QueueTally) {
    waiting += other.waiting
    held += other.held
    claimed += other.claimed
    kept += other.kept
    oldest = min(oldest, other.oldest)
    nextDue = [nextDue, other.nextDue].compactMap { $0 }.min()
    if other.lastDue > lastDue { (lastDue, lastReply) = (other.lastDue, other.lastReply) }
  }
}

/// One slice of the queue by destination.
public struct QueueTallies: Sendable {
  /// Each destination once, in no order.
  public var tallies: [QueueTally]
  /// Where the next slice begins; nil: this was the last.
  public var next: QueuePlace?

  public init(tallies: [QueueTally], next: QueuePlace?) {
    self.tallies = tallies
    self.next = next
  }
}

extension QueueReading {
  /// Recipients in one slice.
  static let slice = 2_000

  static func tallies(after: QueuePlace?, in database: Database) throws -> QueueTallies {
    var found: [String: QueueTally] = [:]
    var last: QueuePlace?
    var count = 0
    try database.each(
      """
      SELECT message, id, state, due, destination, last_reply FROM recipients WHERE (message, id) > (?, ?)
      ORDER BY message, id LIMIT ?
      """,
      [
        .int(after.map { Int64(bitPattern: $0.message.rawValue) } ?? .min),
        .int(after?.recipient?.rawValue ?? (after == nil ? .min : .max)),
        .int(Int64(slice)),
      ]
    ) { row in
      let message = QueueID(rawValue: UInt64(bitPattern: row.int(0)))
      count += 1
      last = QueuePlace(message: message, recipient: QueueRecipientID(rawValue: row.int(1)))
      let destination = row.text(4)
      found[destination, default: QueueTally(destination: NextHopText.redacted(destination), oldest: message)].add(row, message)
      return true
    }
    // An id that does not rise is damage (`verify` tells): the walk ends rather than goes in circles.
    if let last, let after, last.message.rawValue < after.message.rawValue { count = 0 }
    return QueueTallies(tallies: Array(found.values), next: count < slice ? nil : last)
  }
}

extension QueueTally {
  /// Counts a row: message, id, state, due, destination, last_reply.
  fileprivate mutating func add(_ row: Row, _ message: QueueID) {
    let due = Timestamp(microseconds: row.int(3))
    switch row.int(2) {
    case 0:
      waiting += 1
      nextDue = min(nextDue ?? due, due)
    case 1: held += 1
    default: claimed += 1
    }
    oldest = min(oldest, message)
    guard let reply = row.optionalText(5), !reply.isEmpty else { return }
    if reply.hasPrefix(QueueEntry.keptPrefix) { kept += 1 }
    if due > lastDue { (lastDue, lastReply) = (due, reply) }
  }
}
