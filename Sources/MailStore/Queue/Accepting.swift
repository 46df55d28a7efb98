import InternetMessage
import MailModel
import NIOCore
import Outside

/// One accepted message with every pointer to it.
extension Writer {
  func accept(_ acceptance: Acceptance, _ place: BodyPlace, claiming: Bool) throws -> Receipt {
    try check(acceptance)
    let id = Int64(bitPattern: acceptance.id.rawValue)
    let size = Int64(acceptance.prefix.count + place.size)
    if let repeated = try repeatedReceipt(of: acceptance) { return repeated }

    var record = AcceptanceRecord()
    for delivery in acceptance.deliveries {
      record.deliveries.append(
        try deliver(
          delivery, message: id, size: size, reversePath: acceptance.envelope.reversePath, received: acceptance.received))
    }
    record.hadRecipients = !acceptance.recipients.isEmpty
    record.names = try names(of: acceptance)
    record.origin = acceptance.origin
    record.events = acceptance.trace
    for (delivery, place) in zip(acceptance.deliveries, record.deliveries) {
      record.events.append(
        TraceEvent(
          time: acceptance.received, kind: .delivered, recipient: delivery.recipient.wire,
          detail: [.init("mailbox", delivery.mailbox), .init("uid", String(place.uid.rawValue))]))
    }
    for recipient in acceptance.recipients { record.events.append(TraceEvent(queued: recipient, at: acceptance.received)) }
    try insertTrace(id, seq: 0, record.packed(), isNamed: true)
    // A message for nobody (discarded with a reason) leaves its trace only.
    guard record.hadRecipients || !record.deliveries.isEmpty else {
      return Receipt(id: acceptance.id, deliveries: [], queued: nil, isRepeated: false)
    }
    let thread = try record.deliveries.isEmpty ? 0 : threadID(of: acceptance.summary, message: id)
    try insertMessage(
      id, received: acceptance.received, thread: thread, envelope: EnvelopeRecord.packed(acceptance.envelope, acceptance.census),
      prefix: acceptance.prefix, summary: acceptance.summary, place)
    var queued: QueuedMessage?
    let queuedRecipients = acceptance.recipients + acceptance.confirmations
    if !queuedRecipients.isEmpty {
      let entries = try queuedRecipients.map { try enqueue($0, of: acceptance.id, claiming: claiming) }
      queued = QueuedMessage(
        id: acceptance.id, received: acceptance.received, envelope: acceptance.envelope, census: acceptance.census,
        body: BodyID(rawValue: id), size: Int(size), entries: entries)
      if !claiming { changes.append(.queue) }
    }
    return Receipt(id: acceptance.id, deliveries: record.deliveries, queued: queued, isRepeated: false)
  }

  private func check(_ acceptance: Acceptance) throws(StoreError) {
    guard acceptance.prefix.count <= limits.prefix else { throw .invalid("at most \(limits.prefix) octets in front of a body") }
    guard acceptance.deliveries.count + acceptance.recipients.count <= limits.recipients else {
      throw .invalid("a message has at most \(limits.recipients) recipients")
    }
    for recipient in acceptance.recipients where recipient.destination.utf8.count > limits.destination {
      throw .invalid("a destination has at most \(limits.destination) octets")
    }
  }

  /// The same was accepted before: the same receipt, without the queue entries, which have gone their way. Another message that has
  /// the id is never taken for it: its sender would be told of a success that was not its own.
  private func repeatedReceipt(of acceptance: Acceptance) throws -> Receipt? {
    let first = try database.first(
      "SELECT seq, events FROM trace WHERE id = ? ORDER BY seq LIMIT 1", [.id(acceptance.id.rawValue)]
    ) { (seq: $0.int(0), events: $0.blob(1)) }
    guard let first else { return nil }
    let record = first.seq == 0 ? AcceptanceRecord(first.events) : AcceptanceRecord()
    guard let origin = acceptance.origin, record.origin == origin else { throw StoreError.exists("queue id \(acceptance.id)") }
    return Receipt(id: acceptance.id, deliveries: record.deliveries, queued: nil, isRepeated: true)
  }

  /// What the trace can be looked up by.
  private func names(of acceptance: Acceptance) throws -> [String] {
    var names: [String] = []
    if let sender = acceptance.envelope.reversePath { names.append(sender.plainText) }
    for delivery in acceptance.deliveries {
      names.append(delivery.recipient.plainText)
      // The account too, where a subaddress or an alias's spelling led to it.
      let address = try account(delivery.account).address
      if address != delivery.recipient.plainText { names.append(address) }
    }
    for recipient in acceptance.recipients { names.append(recipient.address.plainText) }
    // As they were given, before aliases were followed.
    for event in acceptance.trace { if let recipient = event.recipient { names.append(recipient) } }
    if let messageID = acceptance.summary.messageID { names.append(messageID) }
    return names
  }

  func insertMessage(
    _ id: Int64, received: Timestamp, thread: Int64, envelope: [UInt8]?, prefix: [UInt8], summary: MessageSummary,
    _ place: BodyPlace
  ) throws {
    var checksum = CRC32C()
    prefix.withUnsafeBytes { checksum.update($0) }
    var segment = SQLValue.null
    var extents = SQLValue.null
    var body = SQLValue.null
    switch place {
    case .inline(let buffer):
      buffer.withUnsafeReadableBytes { checksum.update($0) }
      body = .buffer(buffer)
    case .segment(let location, _):
      totals.change(location.segment, Int64(clamping: location.footprint))
      segment = .int(Int64(location.segment))
      extents = .blob(location.encodedExtents)
    }
    try database.run(
      "INSERT INTO messages VALUES(?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)", .int(id), .int(received.microseconds),
      .int(Int64(prefix.count + place.size)), .int(thread), .int(Int64(checksum.value)), segment, extents,
      .int(Int64(prefix.count)),
      envelope.map { .blob($0) } ?? .null, prefix.isEmpty ? .null : .blob(prefix),
      SummaryRecord.packed(summary).map { .blob($0) } ?? .null,
      body)
  }

  private func enqueue(_ recipient: QueuedRecipient, of message: QueueID, claiming: Bool) throws -> QueueEntry {
    let isClaimed = claiming && !recipient.isHeld
    let state: QueueEntry.State = recipient.isHeld ? .held : isClaimed ? .claimed : .waiting
    let id = QueueRecipientID(rawValue: numbers.take(.recipient))
    try database.run(
      "INSERT INTO recipients VALUES(?, ?, ?, ?, 0, 0, NULL, ?, ?, ?, NULL, ?, ?, NULL)", .id(message.rawValue), .int(id.rawValue),
      .int(Int64(state.rawValue)), .int(recipient.due.microseconds), .text(recipient.address.domain),
      .text(recipient.address.localPart),
      .text(recipient.destination), .int(Int64(recipient.notification.notify.rawValue)),
      .optional(recipient.notification.originalRecipient))
    if isClaimed { leases.grant(id, of: message, until: now().advanced(by: .seconds(limits.acceptLease))) }
    return QueueEntry(
      id: id, message: message, address: recipient.address, notification: recipient.notification,
      destination: recipient.destination,
      state: state, attempts: 0, nextAttempt: recipient.due)
  }
}

extension TraceEvent {
  /// Waits in the queue. Where it is to go is said if it is not simply the domain's host.
  fileprivate init(queued recipient: QueuedRecipient, at time: Timestamp) {
    self.init(time: time, kind: .queued, recipient: recipient.address.wire)
    if recipient.destination != recipient.address.domain { detail.append(.init("destination", recipient.destination)) }
    if recipient.isHeld { detail.append(.init("held", "until released")) }
  }
}

extension EmailAddress {
  /// `local@domain` without quoting: for look-up, never for the wire.
  var plainText: String { domain.isEmpty ? localPart : "\(localPart)@\(domain)" }

  /// From `plainText`: the last `@` divides, since none stands in a domain.
  init(plainText: String) {
    guard let at = plainText.lastIndex(of: "@") else {
      self.init(localPart: plainText, domain: "")
      return
    }
    self.init(localPart: String(plainText[..<at]), domain: String(plainText[plainText.index(after: at)...]))
  }
}
