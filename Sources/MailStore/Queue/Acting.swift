import Bytes
import InternetMessage
import MailModel
import Outside

/// What a postmaster does to the queue.
extension Writer {
  func act(_ action: QueueAction, on filter: SelectionFilter, now: Timestamp, after: QueuePlace?) throws -> ActedOn {
    if case .reroute(let nextHop) = action, nextHop.isEmpty || nextHop.utf8.count > limits.destination {
      throw StoreError.invalid("a next hop has 1 to \(limits.destination) octets")
    }
    var done = ActedOn()
    var left = max(limits.actedOn, 1)
    if let after, let recipient = after.recipient, var message = try QueueReading.message(after.message, filter, in: database) {
      message.entries.removeAll { $0.id <= recipient }
      if let stop = try act(action, on: message, now: now, left: &left, &done) { done.next = stop }
    }
    var position = QueuePosition(after: after?.message)
    if done.next == nil, left > 0 {
      let bounds = QueueReading.Bounds(messages: left, recipients: left, scan: limits.actedOn)
      let page = try QueueReading.page(of: filter, after: &position, bounds, in: database)
      for message in page where done.next == nil {
        done.next = try act(action, on: message, now: now, left: &left, &done)
      }
    }
    if done.next == nil, !position.isAtEnd { done.next = position.after.map { QueuePlace(message: $0, recipient: nil) } }
    if done.count > 0 { changes.append(.queue) }
    return done
  }

  /// Where it stopped, if it had to.
  private func act(
    _ action: QueueAction, on message: QueuedMessage, now: Timestamp, left: inout Int, _ done: inout ActedOn
  ) throws -> QueuePlace? {
    var stop: QueuePlace?
    for entry in message.entries {
      guard left > 0 else {
        stop = QueuePlace(message: message.id, recipient: QueueRecipientID(rawValue: entry.id.rawValue &- 1))
        break
      }
      left -= 1
      guard try act(action, on: entry, now: now) else { continue }
      done.count += 1
      if entry.state == .claimed { done.leased.append(entry.id) }
    }
    if action == .remove { try dropMessageIfUnused(Int64(bitPattern: message.id.rawValue)) }
    return stop
  }

  /// Whether it changed anything for the entry.
  private func act(_ action: QueueAction, on entry: QueueEntry, now: Timestamp) throws -> Bool {
    let key: [SQLValue] = [.id(entry.message.rawValue), .int(entry.id.rawValue)]
    let isLeased = entry.state == .claimed
    var kind: TraceEvent.Kind?
    switch action {
    case .retry:
      guard entry.state != .held else { return false }
      if isLeased {
        try order(.retry, key)
      } else {
        try database.run("UPDATE recipients SET due = ? WHERE message = ? AND id = ?", .int(now.microseconds), key[0], key[1])
      }
    case .hold:
      guard entry.state != .held else { return false }
      if isLeased {
        try order(.hold, key)
      } else {
        try database.run("UPDATE recipients SET state = 1 WHERE message = ? AND id = ?", key[0], key[1])
      }
      kind = .held
    case .release:
      if isLeased {
        // One that is under way is released from an order to hold it.
        try database.run(
          "UPDATE recipients SET pending = 0 WHERE message = ? AND id = ? AND pending = ?", key[0], key[1],
          .int(Pending.hold.rawValue))
        guard database.changes > 0 else { return false }
      } else {
        guard entry.state == .held else { return false }
        try database.run(
          "UPDATE recipients SET state = 0, due = ? WHERE message = ? AND id = ?", .int(now.microseconds), key[0], key[1])
      }
      kind = .released
    case .remove:
      if isLeased {
        try order(.remove, key)
      } else {
        try database.run("DELETE FROM recipients WHERE message = ? AND id = ?", key[0], key[1])
      }
      kind = .removed
    case .reroute(let nextHop):
      // Tried there at once: why it waited has nothing to do with the new next hop. One that is held stays so; one under way is tried
      // anew when its attempt fails, unless something else was ordered.
      try database.run(
        """
        UPDATE recipients SET destination = ?1, reroute = ?1, due = CASE state WHEN 0 THEN ?4 ELSE due END,
          pending = CASE WHEN state = 2 AND pending = 0 THEN ?5 ELSE pending END
        WHERE message = ?2 AND id = ?3
        """, .text(nextHop), key[0], key[1], .int(now.microseconds), .int(Pending.retry.rawValue))
      kind = .rerouted
    }
    guard let kind else { return true }
    var event = TraceEvent(time: now, kind: kind, recipient: entry.address.plainText)
    if case .reroute(let nextHop) = action { event.detail = [.init("next-hop", NextHopText.redacted(nextHop))] }
    if isLeased { event.detail.append(.init("effective", "unless an attempt under way succeeds")) }
    try appendTrace(entry.message, [event])
    return true
  }

  private func order(_ pending: Pending, _ key: [SQLValue]) throws {
    try database.run("UPDATE recipients SET pending = ? WHERE message = ? AND id = ?", .int(pending.rawValue), key[0], key[1])
  }
}
